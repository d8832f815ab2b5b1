import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Prints `N passed, N failed, N skipped` as the last line, and the reason of every skip above it. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    const skips: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') count.passed++;
        else if (state === 'skipped' && reason(test) !== undefined) {
          count.skipped++;
          skips.push(`skipped: ${test.fullName} — ${reason(test)}`);
        } else {
          // A skip without a reason is a suite whose set-up failed, or a defect.
          count.failed++;
          if (state === 'skipped') skips.push(`not run: ${test.fullName}`);
        }
      }
      if (module.errors().length > 0 || (module.state() === 'failed' && [...module.children.allTests()].length === 0))
        count.failed++;
    }
    for (const line of skips) console.log(line);
    const line = `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`;
    process.on('exit', () => console.log(line));
  }
}

function reason(test: TestCase): string | undefined {
  const result = test.result();
  return result.state === 'skipped' ? result.note : undefined;
}
