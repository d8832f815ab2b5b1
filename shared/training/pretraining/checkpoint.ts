import { newBertConfig } from '../../bert/config.ts';
import { writeModelDirectory } from '../../bert/directory.ts';
import { utf8 } from '../../core/bytes.ts';
import { seededRng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import { createTokenizer, describeVocabulary } from '../../text/tokenizer.ts';
import { countWords, trainVocabulary } from '../../text/vocabulary-trainer.ts';
import { encodeCorpus } from './corpus.ts';
import { fitMeanHead } from './mean-head.ts';
import { type PretrainingRecipe, type PretrainingStep, pretrain } from './pretrain.ts';

export interface CheckpointOptions extends PretrainingRecipe {
  readonly engine: Engine;
  /** Public texts: a paragraph a line, an empty line between documents. */
  readonly texts: readonly string[];
  /** The only source of chance: the same seed, texts, options and engine make the same files. */
  readonly seed: string;
  /** Default 8,192. */
  readonly vocabularySize?: number;
  /** Default 128. */
  readonly hiddenSize?: number;
  /** Default 2. */
  readonly layers?: number;
  /** Default hiddenSize / 64. */
  readonly heads?: number;
  /** Default 512. */
  readonly maxPositions?: number;
  readonly onStage?: (stage: 'vocabulary' | 'encoding' | 'training' | 'whitening') => void;
  readonly onStep?: (step: PretrainingStep) => void;
  /** Ends the training early; the checkpoint is made all the same, of what was learnt. */
  readonly signal?: AbortSignal;
}

export interface Checkpoint {
  /** A Hugging Face directory in fp16 with the mean head's public statistics. */
  readonly files: Map<string, Uint8Array>;
  readonly history: readonly PretrainingStep[];
  /** Pieces of the corpus. */
  readonly pieces: number;
}

/**
 * From public text to a small BERT: WordPiece vocabulary, masked-LM and next-sentence training, and the public
 * whitening of its mean head over the embedding layer and all blocks.
 * @throws VOCABULARY_SIZE, VOCABULARY_EMPTY, CORPUS_EMPTY, PRETRAIN_INVALID, BERT_CONFIG_INVALID, BERT_NOT_FINITE
 */
export async function makeCheckpoint(options: CheckpointOptions): Promise<Checkpoint> {
  const { engine, texts, seed, hiddenSize = 128, layers = 2, maxPositions = 512, onStage } = options;
  onStage?.('vocabulary');
  const vocabulary = trainVocabulary(countWords(texts), { size: options.vocabularySize ?? 8192 });
  const vocabText = `${vocabulary.join('\n')}\n`;
  onStage?.('encoding');
  const corpus = encodeCorpus(texts, createTokenizer({ vocabulary: vocabText }));
  const plain = newBertConfig({
    vocabSize: vocabulary.length,
    hiddenSize,
    layers,
    heads: options.heads ?? Math.max(1, Math.round(hiddenSize / 64)),
    intermediateSize: 4 * hiddenSize,
    maxPositions,
  });
  onStage?.('training');
  const { weights, history } = await pretrain({
    ...options,
    config: plain,
    corpus,
    rng: seededRng(seed),
  });
  onStage?.('whitening');
  const model = await fitMeanHead({
    engine,
    config: plain,
    weights,
    corpus,
    layers: Array.from({ length: layers + 1 }, (_, layer) => layer),
    tokens: Math.min(128, maxPositions),
    rng: seededRng(`whitening ${seed}`),
  });
  const tokenizer = tokenizerFiles(vocabText, maxPositions);
  return { files: writeModelDirectory({ ...model, tokenizer, dtype: 'F16' }), history, pieces: corpus.pieces.length };
}

/** What `AutoTokenizer` opens as a lower-casing BertTokenizer. */
function tokenizerFiles(vocabText: string, maxPositions: number): Map<string, Uint8Array> {
  const settings = { tokenizer_class: 'BertTokenizer', do_lower_case: true, model_max_length: maxPositions };
  return new Map([
    ['vocab.txt', utf8(vocabText)],
    ['tokenizer.json', utf8(`${JSON.stringify(describeVocabulary(vocabText, true))}\n`)],
    ['tokenizer_config.json', utf8(`${JSON.stringify(settings, null, 2)}\n`)],
  ]);
}
