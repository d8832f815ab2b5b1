import type { PretrainingStep } from '../../shared/training/pretraining/pretrain.ts';
import type { Corpus } from './corpus.ts';
import { SOURCES } from './sources.ts';

export interface CardFacts {
  readonly corpus: Corpus;
  readonly recipe: {
    readonly steps: number;
    readonly hiddenSize: number;
    readonly layers: number;
    readonly batch: number;
    readonly tokens: number;
    readonly learningRate: number;
  };
  readonly seed: string;
  readonly history: readonly PretrainingStep[];
  readonly pieces: number;
  readonly cpuMinutes: number;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** The README.md of the checkpoint: everything a reader needs to judge it, from the run that made it. */
export function modelCard(facts: CardFacts): string {
  const { recipe, history } = facts;
  const sizeMb = ((facts.files.get('model.safetensors')?.length ?? 0) / 1e6).toFixed(1);
  return `---
license: apache-2.0
language: en
---
# tacit-mini

A BERT of ${recipe.layers} layers × ${recipe.hiddenSize}, lower-cased WordPiece vocabulary, ${sizeMb} MB in fp16, trained from nothing by Tacit's own code on openly
licensed text: the start of the quickstart, made to run in seconds on a laptop. No outside weights went into it.

- \`model.safetensors\`: \`bert.*\` under Hugging Face names (\`BertModel\` opens it), and \`head.dense\`: the fixed public part of the
  mean head (means of the token vectors of the layers in \`config.json\` \`tacit.layers\`, concatenated, centred and whitened by
  statistics of the same public text; then unit length).
- \`vocab.txt\`, \`tokenizer.json\`: \`AutoTokenizer\` opens them.

## How it was made

\`node dist/scripts/checkpoint/make.js --steps ${recipe.steps} --width ${recipe.hiddenSize} --seed ${facts.seed}\`, ${facts.cpuMinutes.toFixed(1)} CPU minutes on one thread of a server core, data preparation included.
The same seed and corpus give the same files on the same machine type and onnxruntime.

1. Vocabulary: WordPiece of the corpus.
2. Word embeddings start from the corpus' own statistics: leading eigenvectors of the positive pointwise mutual information of
   neighbouring pieces; everything else from N(0, 0.02²).
3. ${history.length} steps of masked LM (15 %, 80/10/10, whole words) and next sentence; ${recipe.batch} × ${recipe.tokens} pieces a step (${((history.length * recipe.batch * recipe.tokens) / 1e6).toFixed(1)} M of the corpus'
   ${(facts.pieces / 1e6).toFixed(1)} M in all), AdamW ${recipe.learningRate}, weight decay 0.01, gradient norm at most 1, warm-up over 6 % of the steps, then a line to 0.
4. Whitening: 8,192 random segments of 8–126 pieces, shrinkage 0.03.

## Loss

| step | masked LM (nats a piece) | next sentence |
|---|---|---|
${lossTable(history)}

## Data

Corpus of ${(facts.corpus.sources.reduce((sum, s) => sum + s.bytes, 0) / 1e6).toFixed(1)} MB, SHA-256 \`${facts.corpus.sha256}\`. Links are written \`url\`, addresses \`email\`; short and
repeated paragraphs, code and tables are left out. No share-alike text, and no mail.

| package | version | licence of the text | credit | MB |
|---|---|---|---|---|
${sourceTable(facts.corpus)}

WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved. The text itself is not distributed here.

## Known limits

- Minutes of training on ${(facts.pieces / 1e6).toFixed(0)} M pieces of dictionary glosses, speeches, manuals and one novel: it knows subjects and style, not facts, and is far
  behind checkpoints of days on billions of words. Use one of those where you can have it.
- English only; the wording of its sources (American state papers of 1790–2020, software manuals) is over-represented, with the
  views of their time.
- Trained on at most ${recipe.tokens} pieces: positions beyond have never moved from their random start.
- The weights saw no mail, but two choices of the recipe (to train beyond the word start, and the shrinkage of the whitening) were
  made on the *validation* mails of the quickstart's data set, never on its test mails.
- Layers as shallow as these gain little from private training; the head on frozen features is what it is for.
`;
}

/** Means over ten stretches of the run. */
function lossTable(history: readonly PretrainingStep[]): string {
  const stretch = Math.max(1, Math.ceil(history.length / 10));
  const rows: string[] = [];
  for (let from = 0; from < history.length; from += stretch) {
    const part = history.slice(from, from + stretch);
    const mean = (of: (s: PretrainingStep) => number): string =>
      (part.reduce((sum, s) => sum + of(s), 0) / part.length).toFixed(3);
    rows.push(
      `| ${from + 1}–${from + part.length} | ${mean((s) => s.maskedLoss)} | ${mean((s) => s.nextSentenceLoss)} |`,
    );
  }
  return rows.length === 0 ? '| 0 | – | – |' : rows.join('\n');
}

function sourceTable(corpus: Corpus): string {
  return corpus.sources
    .map(({ package: name, version, bytes }) => {
      const source = SOURCES.find((s) => s.package === name);
      return `| ${name} (${source?.registry}) | ${version} | ${source?.licence} | ${source?.credit} | ${(bytes / 1e6).toFixed(1)} |`;
    })
    .join('\n');
}
