import type { Corpus } from './corpus.ts';
import { SOURCES } from './sources.ts';
import { TEACHER } from './teacher.ts';

export interface CardFacts {
  readonly corpus: Corpus;
  readonly recipe: {
    readonly seed: string;
    readonly steps: number;
    readonly readings: number;
    readonly hiddenSize: number;
    readonly layers: number;
    readonly vocabularySize: number;
    readonly pieces: number;
    readonly learningRate: number;
  };
  readonly teacherSha256: string;
  /** Loss of each step. */
  readonly history: readonly number[];
  /** Pieces of the corpus. */
  readonly pieces: number;
  readonly cpuMinutes: number;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** The README.md of the checkpoint: everything a reader needs to judge it, from the run that made it. */
export function modelCard(facts: CardFacts): string {
  const { recipe, history } = facts;
  const sizeMb = ((facts.files.get('model.safetensors')?.length ?? 0) / 1e6).toFixed(1);
  const corpusMb = (facts.corpus.sources.reduce((sum, s) => sum + s.bytes, 0) / 1e6).toFixed(1);
  return `---
license: apache-2.0
language: en
---
# tacit-mini

A BERT of ${recipe.layers} layers × ${recipe.hiddenSize}, lower-cased WordPiece vocabulary of its own (${recipe.vocabularySize.toLocaleString('en')} pieces), ${sizeMb} MB in fp16, made by Tacit's own code on openly licensed
text: the start of the quickstart, small enough for a laptop. It learnt the sentence space of a bigger model; that model's
outputs were used, and none of its weights are in here.

- \`model.safetensors\`: \`bert.*\` under Hugging Face names (\`BertModel\` opens it), and \`head.dense\`: the fixed public part of the
  mean head (means of the token vectors of the layers in \`config.json\` \`tacit.layers\`, concatenated, centred and whitened by
  statistics of the same public text; then unit length).
- \`vocab.txt\`, \`tokenizer.json\`: \`AutoTokenizer\` opens them.

## How it was made

\`node dist/scripts/checkpoint/make.js\` (seed \`${recipe.seed}\`), ${facts.cpuMinutes.toFixed(0)} CPU minutes of a server core that others used too, data preparation
included. \`--losses 50\` takes the first 50 steps again and compares their losses with scripts/checkpoint/losses.json. The same
seed, corpus, machine type and onnxruntime give the same files. With other text and another teacher: \`tacit distil\`.

1. Vocabulary: WordPiece of the corpus.
2. Teacher: ${TEACHER.model} (6 × 384), from the Python package ${TEACHER.package} ${TEACHER.version};
   ${TEACHER.licence}; SHA-256 of its weights \`${facts.teacherSha256}\`. It reads ${recipe.readings.toLocaleString('en')} stretches
   of the corpus, 8–254 pieces long, three quarters of them at most 126. Targets: the means of its token vectors after the embedding layer and the two last blocks,
   each whitened (shrinkage 0.3) and at unit length.
3. Start: what the teacher says to each vocabulary piece alone, by principal components; linear maps to the targets by ridge
   regression; everything else from N(0, 0.02²).
4. ${history.length.toLocaleString('en')} steps of about ${recipe.pieces.toLocaleString('en')} pieces (1 − cosine of the mapped mean of the last layer to the target, half the same of the
   embedding layer, and the difference of the similarities within the batch), AdamW ${recipe.learningRate}, weight decay 0.01, gradient norm at
   most 1, warm-up over 6 % of the steps, then a line to 0; the weights are the average of the second half.
5. Whitening of the head: 8,192 random stretches of 8–126 pieces, shrinkage 0.03.

## Loss

| step | loss |
|---|---|
${lossTable(history)}

## Data

Corpus of ${corpusMb} MB, SHA-256 \`${facts.corpus.sha256}\`. Links are written \`url\`, addresses \`email\`; short and
repeated paragraphs, code and tables are left out. No share-alike text, and no mail.

| package | version | licence of the text | credit | MB |
|---|---|---|---|---|
${sourceTable(facts.corpus)}

WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved. The text itself is not distributed here.

## Known limits

- A student of minutes: it knows subjects and style, not facts, and is behind its teacher, which was trained for days on a
  billion pairs of sentences. Use such a checkpoint where you can have it.
- What the teacher's own training data say, and their biases, reach this model through its outputs; see the teacher's card.
- English only; the wording of the corpus (American state papers of 1900–2020, dictionary glosses, software manuals) is
  over-represented, with the views of their time.
- Trained on at most 256 pieces: positions beyond have never moved from their random start.
- The weights saw no mail, but the recipe (width, distillation instead of masked words) was chosen on the *validation* mails of
  the quickstart's data set, never on its test mails.
`;
}

/** Means over ten stretches of the run. */
function lossTable(history: readonly number[]): string {
  const stretch = Math.max(1, Math.ceil(history.length / 10));
  const rows: string[] = [];
  for (let from = 0; from < history.length; from += stretch) {
    const part = history.slice(from, from + stretch);
    rows.push(`| ${from + 1}–${from + part.length} | ${(part.reduce((a, b) => a + b, 0) / part.length).toFixed(3)} |`);
  }
  return rows.join('\n');
}

function sourceTable(corpus: Corpus): string {
  return corpus.sources
    .map(({ package: name, version, bytes }) => {
      const source = SOURCES.find((s) => s.package === name);
      return `| ${name} (${source?.registry}) | ${version} | ${source?.licence} | ${source?.credit} | ${(bytes / 1e6).toFixed(1)} |`;
    })
    .join('\n');
}
