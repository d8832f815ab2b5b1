import { describe, expect, it } from 'vitest';
import { onnxCpuEngine, tfjsCpuEngine, tfjsWasmEngine } from '../../../shared/node/engines.ts';
import { checkBertCase } from '../../support/bert-conformance.ts';
import { caseFiles } from '../../support/case-files.ts';

const engines = { onnx: async () => onnxCpuEngine(), 'tfjs wasm': tfjsWasmEngine, 'tfjs cpu': tfjsCpuEngine };
for (const [name, open] of Object.entries(engines)) {
  describe(`${name} against the reference vectors`, () => {
    it.each(['bert-tiny', 'bert-pretrain-tiny', 'lora-tiny'])('%s', async (dir) => {
      const findings = await checkBertCase(caseFiles(`test/vectors/${dir}`), await open());
      expect(findings.filter((f) => !(f.error <= f.tolerance))).toEqual([]);
      expect(findings.length).toBeGreaterThan(20);
    });
  });
}
