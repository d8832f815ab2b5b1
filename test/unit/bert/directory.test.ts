import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mergeAdapter, readAdapterDirectory, writeAdapterDirectory } from '../../../shared/bert/adapter.ts';
import { newBertConfig, parseBertConfig } from '../../../shared/bert/config.ts';
import { isPretraining, readModelDirectory, writeModelDirectory } from '../../../shared/bert/directory.ts';
import { type Bert, createBert, type Trainable } from '../../../shared/bert/model.ts';
import { fromUtf8, utf8 } from '../../../shared/core/bytes.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import type { NamedTensor } from '../../../shared/tensor/named.ts';
import { writeSafetensors } from '../../../shared/tensor/safetensors.ts';
import { caseFiles } from '../../support/case-files.ts';
import { distance } from '../../support/tiny-bert.ts';

const files = caseFiles('test/vectors/bert-tiny');
const config = JSON.parse(fromUtf8(files.get('config.json') as Uint8Array)) as Record<string, unknown>;
const model = readModelDirectory(files);

describe('config.json', () => {
  it.each([
    ['model_type', 'roberta', 'BERT_UNSUPPORTED'],
    ['position_embedding_type', 'relative_key', 'BERT_UNSUPPORTED'],
    ['hidden_act', 'swish', 'BERT_UNSUPPORTED'],
    ['is_decoder', true, 'BERT_UNSUPPORTED'],
    ['quantization_config', {}, 'BERT_UNSUPPORTED'],
    ['hidden_size', 33, 'BERT_CONFIG_INVALID'],
    ['hidden_size', '32', 'BERT_CONFIG_INVALID'],
    ['num_hidden_layers', 0, 'BERT_CONFIG_INVALID'],
    ['vocab_size', 1e12, 'BERT_CONFIG_INVALID'],
    ['layer_norm_eps', -1, 'BERT_CONFIG_INVALID'],
    ['tacit', { head: 'mean', layers: [3] }, 'BERT_CONFIG_INVALID'],
  ])('refuses %s %j', (key, value, code) => {
    expect(() => parseBertConfig({ ...config, [key]: value })).toThrow(
      expect.objectContaining({ code, where: 'config.json' }),
    );
  });

  it('keeps what it does not know', () => {
    expect(
      newBertConfig(
        { vocabSize: 9, hiddenSize: 4, layers: 1, heads: 2, intermediateSize: 8, maxPositions: 16 },
        { x: 1 },
      ).raw,
    ).toMatchObject({ x: 1 });
  });
});

describe('model directory', () => {
  it('comes back as it was written', () => {
    const again = readModelDirectory(writeModelDirectory(model));
    expect(again.weights).toEqual(model.weights);
    expect(again.config.raw).toMatchObject({
      architectures: ['BertForSequenceClassification'],
      id2label: { 0: 'LABEL_0' },
    });
  });

  it('says which heads it is for: masked LM, pairs, or a classifier trained on top of them', () => {
    const tensor = (name: string, shape: number[]): [string, NamedTensor] => [
      name,
      { name, shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
    ];
    const masked = new Map([
      ...[...model.weights].filter(([name]) => !name.startsWith('classifier.')),
      tensor('cls.predictions.transform.dense.weight', [2, 2]),
      tensor('cls.predictions.decoder.weight', [2, 2]),
    ]);
    const written = (weights: Map<string, NamedTensor>, more: object) =>
      readModelDirectory(writeModelDirectory({ ...model, weights, ...more }));
    const language = written(masked, { pretraining: true });
    expect(language.config.raw['architectures']).toEqual(['BertForMaskedLM']);
    // A copy of the tied weights would be opened in the place of the trained ones.
    expect(language.weights.has('cls.predictions.decoder.weight')).toBe(false);
    expect(isPretraining(language)).toBe(true);
    const pairs = written(new Map([...masked, tensor('cls.seq_relationship.weight', [2, 2])]), { pretraining: true });
    expect(pairs.config.raw['architectures']).toEqual(['BertForPreTraining']);
    const classifier = new Map([...language.weights, tensor('classifier.weight', [2, 2])]);
    for (const [meanLayers, named] of [
      [undefined, 'BertForSequenceClassification'],
      [[0, 2], 'BertModel'],
    ] as const) {
      const head = meanLayers === undefined ? 'pooler' : 'mean';
      const tuned = written(classifier, { head, config: { ...language.config, meanLayers } });
      expect(tuned.config.raw['architectures']).toEqual([named]);
      expect(isPretraining(tuned)).toBe(false);
    }
  });

  it('reads shards by their index', () => {
    const names = [...model.weights.keys()];
    const shard = (keep: (i: number) => boolean): Uint8Array =>
      writeSafetensors(new Map([...model.weights].filter((_, i) => keep(i))));
    const index = {
      weight_map: Object.fromEntries(names.map((name, i) => [name, i % 2 === 0 ? 'a.safetensors' : 'b.safetensors'])),
    };
    const sharded = new Map([
      ['config.json', files.get('config.json') as Uint8Array],
      ['model.safetensors.index.json', utf8(JSON.stringify(index))],
      ['a.safetensors', shard((i) => i % 2 === 0)],
      ['b.safetensors', shard((i) => i % 2 === 1)],
    ]);
    expect(new Map([...readModelDirectory(sharded).weights].sort())).toEqual(new Map([...model.weights].sort()));
    expect(() =>
      readModelDirectory(
        new Map(sharded).set(
          'b.safetensors',
          shard(() => false),
        ),
      ),
    ).toThrow(/has no tensor/);
    sharded.delete('b.safetensors');
    expect(() => readModelDirectory(sharded)).toThrow(expect.objectContaining({ code: 'BERT_DIRECTORY_INVALID' }));
  });

  it('reads a bare BertModel with old layer-norm names, and writes its names back', () => {
    const bare = new Map<string, NamedTensor>();
    for (const t of model.weights.values()) {
      const name = t.name
        .replace(/^bert\./, '')
        .replace('LayerNorm.weight', 'LayerNorm.gamma')
        .replace('LayerNorm.bias', 'LayerNorm.beta');
      bare.set(name, { ...t, name });
    }
    const read = readModelDirectory(new Map([...files, ['model.safetensors', writeSafetensors(bare)]]));
    expect(read.namesOnDisk).toBe('');
    expect(read.weights).toEqual(model.weights);
    const written = writeModelDirectory(read);
    expect(fromUtf8(written.get('model.safetensors')?.slice(8, 1000) as Uint8Array)).toContain('"encoder.layer.0.');
  });

  it('says which file is missing or broken', () => {
    expect(() => readModelDirectory(new Map())).toThrow(/config.json is missing/);
    expect(() => readModelDirectory(new Map([['config.json', utf8('{')]]))).toThrow(/config.json is not JSON/);
    expect(() => readModelDirectory(new Map([['config.json', files.get('config.json') as Uint8Array]]))).toThrow(
      /model.safetensors is missing/,
    );
  });
});

describe('weights that do not fit', () => {
  const create = (weights: ReadonlyMap<string, NamedTensor>, more = {}): Promise<Bert> =>
    createBert({
      engine: onnxCpuEngine(),
      config: model.config,
      weights,
      head: 'pooler',
      labels: 3,
      task: 'single_label',
      trainable: 'all',
      shape: { batch: 5, tokens: 12 },
      rng: seededRng('x'),
      ...more,
    });
  const name = 'bert.encoder.layer.1.output.dense.weight';

  it('names the tensor and what was expected', async () => {
    const missing = new Map(model.weights);
    missing.delete(name);
    await expect(create(missing)).rejects.toMatchObject({
      code: 'BERT_WEIGHTS_MISSING',
      fix: 'Expected shape [32,64].',
    });
    const turned = new Map(model.weights).set(name, { name, shape: [64, 32], data: new Float32Array(2048) });
    await expect(create(turned)).rejects.toMatchObject({ code: 'BERT_WEIGHTS_SHAPE', fix: 'Expected shape [32,64].' });
    await expect(create(model.weights, { labels: 4 })).rejects.toMatchObject({ code: 'BERT_WEIGHTS_SHAPE' });
    await expect(create(model.weights, { head: 'mean' })).rejects.toMatchObject({ code: 'BERT_CONFIG_INVALID' });
    await expect(
      create(model.weights, { trainable: { lora: { rank: 2, alpha: 2, targets: ['qvery'] } } }),
    ).rejects.toMatchObject({
      code: 'BERT_UNSUPPORTED',
    });
  });

  it('refuses tokens, types, masks and labels out of range, naming the example', async () => {
    const bert = await create(model.weights);
    const zeros = (): Int32Array => new Int32Array(60);
    const batch = {
      inputIds: zeros(),
      attentionMask: zeros().fill(1),
      tokenTypeIds: zeros(),
      labels: new Int32Array(5),
      weights: new Float32Array(5).fill(1),
    };
    const refused = async (change: object, what: RegExp): Promise<void> => {
      const promise = bert.gradients({ ...batch, ...change }, { l2Clip: 1 });
      await expect(promise).rejects.toMatchObject({ code: 'BERT_BATCH_INVALID', message: expect.stringMatching(what) });
    };
    await refused({ inputIds: zeros().with(13, 1000) }, /token id 1000 of example 1, token 1/);
    await refused({ tokenTypeIds: zeros().with(59, -1) }, /token type -1 of example 4, token 11/);
    await refused({ attentionMask: zeros().with(0, 2) }, /attention mask 2/);
    await refused({ labels: Int32Array.of(0, 1, 2, 3, 0) }, /label 3 of example 3/);
    await refused({ weights: Float32Array.of(1, 1, -1, 1, 1) }, /weight -1 of example 2/);
    await refused({ inputIds: new Int32Array(61) }, /whole examples/);
    await refused({ tokens: 65, inputIds: new Int32Array(65) }, /64 positions/);
    await expect(bert.gradients(batch, { l2Clip: 0 })).rejects.toMatchObject({ code: 'BERT_BATCH_INVALID' });
    await bert.dispose();
  });
});

describe('peft adapter', () => {
  const adapter = readAdapterDirectory(caseFiles('test/vectors/lora-tiny'));

  it('comes back as it was written, and computes the same', async () => {
    const open = (weights: ReadonlyMap<string, NamedTensor>): Promise<Bert> =>
      createBert({
        engine: onnxCpuEngine(),
        config: model.config,
        weights: new Map([...model.weights, ...weights]),
        head: 'pooler',
        labels: 3,
        task: 'single_label',
        trainable: { lora: adapter.spec },
        shape: { batch: 1, tokens: 12 },
        rng: seededRng('x'),
      });
    const bert = await open(adapter.weights);
    const written = writeAdapterDirectory(adapter.spec, bert.adapterNow(), 'bert-tiny');
    const again = readAdapterDirectory(written);
    expect(again).toEqual({
      spec: adapter.spec,
      weights: new Map([...again.weights.keys()].map((key) => [key, adapter.weights.get(key)])),
    });
    const tokens = {
      inputIds: Int32Array.of(2, 9, 8, 3, 0, 0, 0, 0, 0, 0, 0, 0),
      attentionMask: new Int32Array(12).fill(1, 0, 4),
      tokenTypeIds: new Int32Array(12),
    };
    const merged = await createBert({
      engine: onnxCpuEngine(),
      config: model.config,
      weights: bert.weightsNow(),
      head: 'pooler',
      labels: 3,
      task: 'single_label',
      trainable: 'head',
      shape: { batch: 1, tokens: 12 },
      rng: seededRng('x'),
    });
    expect(distance(await merged.logits(tokens), await bert.logits(tokens))).toBeLessThan(1e-5);
    await Promise.all([bert.dispose(), merged.dispose()]);
  });

  it('is whole by itself over a base that has no pooler', async () => {
    const bare = new Map([...model.weights].filter(([name]) => !/pooler|classifier/.test(name)));
    const open = (weights: ReadonlyMap<string, NamedTensor>, trainable: Trainable, seed: string): Promise<Bert> =>
      createBert({
        engine: onnxCpuEngine(),
        config: model.config,
        weights,
        head: 'pooler',
        labels: 3,
        task: 'single_label',
        trainable,
        shape: { batch: 1, tokens: 4 },
        rng: seededRng(seed),
      });
    const bert = await open(bare, { lora: adapter.spec }, 'drawn');
    bert.setTrainable(bert.trainable().map((w, i) => w + 0.01 * Math.sin(i)));
    const written = readAdapterDirectory(writeAdapterDirectory(adapter.spec, bert.adapterNow(), 'bare'));
    expect(written.spec.inFull).toEqual(['pooler', 'classifier']);
    const merged = await open(mergeAdapter({ ...model, weights: bare }, written), 'head', 'other');
    const tokens = {
      inputIds: Int32Array.of(2, 9, 8, 3),
      attentionMask: new Int32Array(4).fill(1),
      tokenTypeIds: new Int32Array(4),
    };
    expect(distance(await merged.logits(tokens), await bert.logits(tokens))).toBeLessThan(1e-5);
    await Promise.all([bert.dispose(), merged.dispose()]);
  });

  it('refuses what it would compute differently', () => {
    const lora = JSON.parse(readFileSync('test/vectors/lora-tiny/adapter_config.json', 'utf8')) as object;
    const tensors = readFileSync('test/vectors/lora-tiny/adapter_model.safetensors');
    for (const change of [
      { use_dora: true },
      { modules_to_save: ['bert.embeddings'] },
      { alpha_pattern: { query: 2 } },
      { bias: 'all' },
      { rank_pattern: { query: 2 } },
      { peft_type: 'IA3' },
      { r: 0 },
      { target_modules: [] },
      { target_modules: '.*query' },
    ]) {
      const changed = new Map([
        ['adapter_config.json', utf8(JSON.stringify({ ...lora, ...change }))],
        ['adapter_model.safetensors', tensors],
      ]);
      expect(() => readAdapterDirectory(changed)).toThrow(expect.objectContaining({ code: 'BERT_ADAPTER_INVALID' }));
    }
  });

  it('is not merged when a part of it would be left out', () => {
    const base = readModelDirectory(caseFiles('test/vectors/bert-variants/base'));
    const embeddings = readAdapterDirectory(caseFiles('test/vectors/bert-variants/lora-embeddings'));
    expect(() => mergeAdapter(base, embeddings)).toThrow(
      expect.objectContaining({
        code: 'BERT_ADAPTER_INVALID',
        message: expect.stringContaining('word_embeddings.lora_embedding_A'),
      }),
    );
    const pooler = readAdapterDirectory(caseFiles('test/vectors/bert-variants/lora-stabilised'));
    const [name] = [...pooler.weights.keys()].filter((n) => n.includes('pooler.dense.lora_A'));
    const stranger = new Map([...pooler.weights, ['cls.bias', pooler.weights.get(name as string) as NamedTensor]]);
    expect(() => mergeAdapter(base, { ...pooler, weights: stranger })).toThrow(/cls\.bias/);
    const cut = new Map([...pooler.weights].filter(([n]) => n !== name));
    expect(() => mergeAdapter(base, { ...pooler, weights: cut })).toThrow(
      expect.objectContaining({ code: 'BERT_WEIGHTS_MISSING' }),
    );
  });
});
