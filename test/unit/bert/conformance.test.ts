import { describe, expect, it } from 'vitest';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { checkBertCase } from '../../support/bert-conformance.ts';
import { caseFiles } from '../../support/case-files.ts';

const engines = { onnx: () => onnxCpuEngine() };
for (const [name, open] of Object.entries(engines)) {
  describe(`${name} against the reference vectors`, () => {
    it.each(['bert-tiny', 'bert-pretrain-tiny', 'lora-tiny'])('%s', async (dir) => {
      const findings = await checkBertCase(caseFiles(`test/vectors/${dir}`), open());
      expect(findings.filter((f) => !(f.error <= f.tolerance))).toEqual([]);
      expect(findings.length).toBeGreaterThan(20);
    });
  });
}
