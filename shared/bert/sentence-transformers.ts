import { utf8 } from '../core/bytes.ts';
import { writeSafetensors } from '../tensor/safetensors.ts';
import { type ModelDirectory, writeModelDirectory } from './directory.ts';
import { meanLayersOf, requireTensor } from './parameters.ts';

/**
 * The mean head's sentence vectors as a sentence-transformers directory: Transformer, the mean over tokens, Dense (centring
 * and whitening), Normalize. With one chosen layer the library's own modules say exactly that, on a model cut off above
 * the layer. Several layers are concatenated before Dense, for which the library has no module (WeightedLayerPooling
 * adds layers up): then a module of twenty lines comes along, and opening needs `trust_remote_code=True`.
 * @throws BERT_CONFIG_INVALID without a mean head, BERT_WEIGHTS_MISSING
 */
export function writeSentenceTransformers(model: ModelDirectory): Map<string, Uint8Array> {
  const { config } = model;
  const layers = meanLayersOf(config);
  const single = layers.length === 1 && layers[0] !== 0;
  const width = config.hiddenSize * layers.length;
  const dense = requireTensor(model.weights, { name: 'head.dense.weight', shape: [outputsOf(model), width] });
  const bias = requireTensor(model.weights, { name: 'head.dense.bias', shape: [outputsOf(model)] });
  const stock = 'sentence_transformers.models';
  const modules = [
    { path: '', type: `${stock}.Transformer` },
    single
      ? { path: '1_Pooling', type: `${stock}.Pooling` }
      : { path: '1_LayerMeans', type: 'tacit_layer_means.LayerMeans' },
    { path: '2_Dense', type: `${stock}.Dense` },
    { path: '3_Normalize', type: `${stock}.Normalize` },
  ].map((module, idx) => ({ idx, name: String(idx), ...module }));
  return new Map([
    ...transformer(model, single ? (layers[0] as number) : config.layers, !single),
    ['modules.json', json(modules)],
    ['sentence_bert_config.json', json({ max_seq_length: config.maxPositions, do_lower_case: false })],
    ['config_sentence_transformers.json', json({ model_type: 'SentenceTransformer', similarity_fn_name: 'cosine' })],
    ...(single
      ? [['1_Pooling/config.json', json(poolingConfig(config.hiddenSize))] as const]
      : [
          ['1_LayerMeans/config.json', json({ layers, word_embedding_dimension: config.hiddenSize })] as const,
          ['tacit_layer_means.py', utf8(layerMeans)] as const,
        ]),
    ['2_Dense/config.json', json(denseConfig(width, dense.shape[0] as number))],
    [
      '2_Dense/model.safetensors',
      writeSafetensors(
        new Map([
          ['linear.weight', { ...dense, name: 'linear.weight' }],
          ['linear.bias', { ...bias, name: 'linear.bias' }],
        ]),
      ),
    ],
  ]);
}

function outputsOf({ weights }: ModelDirectory): number {
  return weights.get('head.dense.weight')?.shape[0] ?? 0;
}

/** The encoder alone, cut off above `blocks`. */
function transformer(model: ModelDirectory, blocks: number, allLayers: boolean): Map<string, Uint8Array> {
  const kept = [...model.weights].filter(([name]) => {
    const block = /^bert\.encoder\.layer\.(\d+)\./.exec(name)?.[1];
    return name.startsWith('bert.') && (block === undefined || Number(block) < blocks);
  });
  const { tacit: _tacit, id2label: _id, label2id: _label, problem_type: _type, ...raw } = model.config.raw;
  const changed = { ...raw, architectures: ['BertModel'], num_hidden_layers: blocks };
  const config = {
    ...model.config,
    meanLayers: undefined,
    labelNames: undefined,
    raw: allLayers ? { ...changed, output_hidden_states: true } : changed,
  };
  return writeModelDirectory({ config, weights: new Map(kept), tokenizer: model.tokenizer, namesOnDisk: '' });
}

function poolingConfig(width: number): object {
  return {
    word_embedding_dimension: width,
    pooling_mode_cls_token: false,
    pooling_mode_mean_tokens: true,
    pooling_mode_max_tokens: false,
    pooling_mode_mean_sqrt_len_tokens: false,
  };
}

function denseConfig(inputs: number, outputs: number): object {
  return {
    in_features: inputs,
    out_features: outputs,
    bias: true,
    activation_function: 'torch.nn.modules.linear.Identity',
  };
}

function json(value: unknown): Uint8Array {
  return utf8(`${JSON.stringify(value, null, 2)}\n`);
}

const layerMeans = `"""Mean over the tokens of chosen layers, side by side. Layer 0 is the embeddings' output, i the i-th block's."""

import json
import os

import torch


class LayerMeans(torch.nn.Module):
    def __init__(self, layers, word_embedding_dimension):
        super().__init__()
        self.layers = layers
        self.width = word_embedding_dimension

    def forward(self, features):
        mask = features["attention_mask"].unsqueeze(-1).to(features["all_layer_embeddings"][0].dtype)
        share = mask / mask.sum(1, keepdim=True).clamp(min=1)
        means = [(features["all_layer_embeddings"][layer] * share).sum(1) for layer in self.layers]
        features["sentence_embedding"] = torch.cat(means, 1)
        return features

    def get_sentence_embedding_dimension(self):
        return len(self.layers) * self.width

    def save(self, output_path, *args, **kwargs):
        with open(os.path.join(output_path, "config.json"), "w") as file:
            json.dump({"layers": self.layers, "word_embedding_dimension": self.width}, file)

    @classmethod
    def load(cls, model_name_or_path, subfolder="", **kwargs):
        from sentence_transformers.util import load_file_path

        path = load_file_path(model_name_or_path, filename=os.path.join(subfolder, "config.json"), **{
            key: kwargs[key] for key in ("token", "cache_folder", "revision", "local_files_only") if key in kwargs
        })
        with open(path) as file:
            return cls(**json.load(file))
`;
