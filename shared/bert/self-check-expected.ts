/** What the check compares: losses, norms, and of each tensor of the clipped sum one number that depends on every element. */
export interface CheckNumbers {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  /** By tensor: Σ_i g_i · cos(i), and the largest |g_i|. */
  readonly tensors: Readonly<Record<string, readonly [number, number]>>;
}

/**
 * What the self-check's fixed model must give. Computed by `checkNumbers` on the tfjs cpu engine (plain JavaScript) after
 * that engine had met every number of test/vectors/bert-tiny, bert-pretrain-tiny and lora-tiny; onnx cpu and tfjs wasm
 * agree with it. The key biases' true gradient is zero: softmax ignores a shift.
 */
export const selfCheckExpected: CheckNumbers = {
  losses: [2.400061, 0.296935, 1.877265, 0.7386192],
  norms: [11.42579, 3.595895, 14.15863, 8.054923],
  tensors: {
    'bert.embeddings.word_embeddings.weight': [-0.1435049, 0.02876482],
    'bert.embeddings.position_embeddings.weight': [-0.05265778, 0.03467681],
    'bert.embeddings.token_type_embeddings.weight': [0.006205206, 0.09696464],
    'bert.embeddings.LayerNorm.weight': [-0.2335717, 0.08582715],
    'bert.embeddings.LayerNorm.bias': [0.4592902, 0.1770098],
    'bert.encoder.layer.0.attention.self.query.weight': [-0.00277927, 0.008928652],
    'bert.encoder.layer.0.attention.self.query.bias': [-0.01691274, 0.01269745],
    'bert.encoder.layer.0.attention.self.key.weight': [-0.1452058, 0.01963254],
    'bert.encoder.layer.0.attention.self.key.bias': [0.0, 0.0],
    'bert.encoder.layer.0.attention.self.value.weight': [-0.1653568, 0.04611996],
    'bert.encoder.layer.0.attention.self.value.bias': [-0.1303881, 0.06985897],
    'bert.encoder.layer.0.attention.output.dense.weight': [-0.2461955, 0.05143499],
    'bert.encoder.layer.0.attention.output.dense.bias': [0.03935427, 0.04221527],
    'bert.encoder.layer.0.attention.output.LayerNorm.weight': [0.09689376, 0.2388407],
    'bert.encoder.layer.0.attention.output.LayerNorm.bias': [0.321109, 0.1680209],
    'bert.encoder.layer.0.intermediate.dense.weight': [0.3370835, 0.06542867],
    'bert.encoder.layer.0.intermediate.dense.bias': [0.3486935, 0.07232509],
    'bert.encoder.layer.0.output.dense.weight': [-0.4375457, 0.1900311],
    'bert.encoder.layer.0.output.dense.bias': [0.0312889, 0.05302276],
    'bert.encoder.layer.0.output.LayerNorm.weight': [-0.3172039, 0.4207094],
    'bert.encoder.layer.0.output.LayerNorm.bias': [0.5418567, 0.3370571],
    'bert.encoder.layer.1.attention.self.query.weight': [0.0004778707, 0.0003572312],
    'bert.encoder.layer.1.attention.self.query.bias': [-0.0008765883, 0.0003836263],
    'bert.encoder.layer.1.attention.self.key.weight': [-0.0003658948, 0.00134657],
    'bert.encoder.layer.1.attention.self.key.bias': [0.0, 0.0],
    'bert.encoder.layer.1.attention.self.value.weight': [-0.2630689, 0.1908402],
    'bert.encoder.layer.1.attention.self.value.bias': [-0.2758353, 0.195574],
    'bert.encoder.layer.1.attention.output.dense.weight': [-0.7616279, 0.1984171],
    'bert.encoder.layer.1.attention.output.dense.bias': [-0.1893122, 0.1191252],
    'bert.encoder.layer.1.attention.output.LayerNorm.weight': [0.8473066, 0.9751316],
    'bert.encoder.layer.1.attention.output.LayerNorm.bias': [-1.957649, 0.6505266],
    'bert.encoder.layer.1.intermediate.dense.weight': [-0.7152262, 0.3142042],
    'bert.encoder.layer.1.intermediate.dense.bias': [-0.5684769, 0.2682745],
    'bert.encoder.layer.1.output.dense.weight': [1.162838, 0.9147422],
    'bert.encoder.layer.1.output.dense.bias': [0.3805907, 0.2490871],
    'bert.encoder.layer.1.output.LayerNorm.weight': [0.7576896, 1.829043],
    'bert.encoder.layer.1.output.LayerNorm.bias': [1.488636, 0.9376797],
    'bert.pooler.dense.weight': [0.4777516, 0.2954308],
    'bert.pooler.dense.bias': [0.7196605, 0.4205716],
    'classifier.weight': [0.5954111, 0.6949724],
    'classifier.bias': [-0.0381188, 0.6956608],
  },
};
