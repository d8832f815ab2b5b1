import { describe, expect, it } from 'vitest';
import { onnxCpuEngine, tfjsCpuEngine, tfjsWasmEngine } from '../../../shared/node/engines.ts';
import { checkBertCase } from '../../support/bert-conformance.ts';
import { caseFiles } from '../../support/case-files.ts';

const engines = { onnx: async () => onnxCpuEngine(), 'tfjs wasm': tfjsWasmEngine, 'tfjs cpu': tfjsCpuEngine };
const variants = [
  'quick-regression',
  'tanh-multi-label',
  'pretrain-many-masked',
  'base',
  'lora-stabilised',
  'lora-saved-pooler',
];
const dirs = ['bert-tiny', 'bert-pretrain-tiny', 'lora-tiny', ...variants.map((name) => `bert-variants/${name}`)];
for (const [name, open] of Object.entries(engines)) {
  describe(`${name} against the reference vectors`, () => {
    it.each(dirs)('%s', async (dir) => {
      const findings = await checkBertCase(caseFiles(`test/vectors/${dir}`), await open());
      expect(findings.filter((f) => !(f.error <= f.tolerance))).toEqual([]);
      expect(findings.length).toBeGreaterThan(20);
    });
  });
}
