import { type BertConfig, newBertConfig } from '../../bert/config.ts';
import { writeModelDirectory } from '../../bert/directory.ts';
import { utf8 } from '../../core/bytes.ts';
import { seededRng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Weights } from '../../tensor/named.ts';
import { createTokenizer, describeVocabulary, type Tokenizer } from '../../text/tokenizer.ts';
import { countWords, trainVocabulary } from '../../text/vocabulary-trainer.ts';
import { type EncodedCorpus, encodeCorpus } from './corpus.ts';
import { fitMeanHead } from './mean-head.ts';

/** A new small BERT and the text it is made from. */
export interface CheckpointOptions {
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
  readonly onStage?: (stage: CheckpointStage) => void;
}

export type CheckpointStage = 'vocabulary' | 'encoding' | 'teacher' | 'training' | 'whitening';

/** What is known of a checkpoint before its training. */
export interface NewCheckpoint {
  readonly config: BertConfig;
  readonly tokenizer: Tokenizer;
  readonly vocabulary: string;
  readonly corpus: EncodedCorpus;
}

/**
 * The WordPiece vocabulary of the texts, the texts in its pieces, and an empty model of the wanted shape.
 * @throws VOCABULARY_SIZE, VOCABULARY_EMPTY, CORPUS_EMPTY, BERT_CONFIG_INVALID
 */
export function newCheckpoint(options: CheckpointOptions): NewCheckpoint {
  const { texts, hiddenSize = 128, layers = 2, maxPositions = 512, onStage } = options;
  onStage?.('vocabulary');
  const pieces = trainVocabulary(countWords(texts), { size: options.vocabularySize ?? 8192 });
  const vocabulary = `${pieces.join('\n')}\n`;
  const config = newBertConfig({
    vocabSize: pieces.length,
    hiddenSize,
    layers,
    heads: options.heads ?? Math.max(1, Math.round(hiddenSize / 64)),
    intermediateSize: 4 * hiddenSize,
    maxPositions,
  });
  onStage?.('encoding');
  const tokenizer = createTokenizer({ vocabulary });
  return { config, tokenizer, vocabulary, corpus: encodeCorpus(texts, tokenizer) };
}

/**
 * A Hugging Face directory in fp16 with the public whitening of a mean head over the embedding layer and the last
 * block: a layer between them adds more numbers to noise than it helps (docs/UTILITY.md).
 * @throws BERT_WEIGHTS_MISSING, PRETRAIN_INVALID
 */
export async function finishCheckpoint(
  { engine, seed, onStage }: CheckpointOptions,
  { config, corpus, vocabulary }: NewCheckpoint,
  weights: Weights,
): Promise<Map<string, Uint8Array>> {
  onStage?.('whitening');
  const model = await fitMeanHead({
    engine,
    config,
    weights,
    corpus,
    layers: [0, config.layers],
    tokens: Math.min(128, config.maxPositions),
    rng: seededRng(`whitening ${seed}`),
  });
  return writeModelDirectory({ ...model, tokenizer: tokenizerFiles(vocabulary, config.maxPositions), dtype: 'F16' });
}

/** What `AutoTokenizer` opens as a lower-casing BertTokenizer. */
function tokenizerFiles(vocabulary: string, maxPositions: number): Map<string, Uint8Array> {
  const settings = { tokenizer_class: 'BertTokenizer', do_lower_case: true, model_max_length: maxPositions };
  return new Map([
    ['vocab.txt', utf8(vocabulary)],
    ['tokenizer.json', utf8(`${JSON.stringify(describeVocabulary(vocabulary))}\n`)],
    ['tokenizer_config.json', utf8(`${JSON.stringify(settings, null, 2)}\n`)],
  ]);
}
