import type { Command } from 'commander';
import { systemRng } from '../../../shared/core/rng.ts';
import { command, openTerminal } from '../../../shared/node/command-line.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { openTokenizer } from '../../../shared/protocol/stage-model.ts';
import { encodeRecords } from '../../../shared/text/encode.ts';
import { adviseClip } from '../../../shared/training/clip-advice.ts';
import { readLocalModel } from '../../models/local-model.ts';
import { labelsInData, readTrainData } from '../../train/data.ts';
import { parseSettings, TRAIN_DEFAULTS, type TrainFlags } from '../../train/settings.ts';
import { openBert } from '../../train/train.ts';

/** `tacit model advise-clip`: a clip chosen by looking at private gradients would itself have to be paid for. */
export function adviseClipCommand(): Command {
  return command(
    'advise-clip',
    'gradient norms on public text, and what clip they suggest for a plan or for tacit train',
    'tacit model advise-clip models/tacit-mini --data public.csv --train head',
  )
    .argument('<model>', 'a Hugging Face directory or hf:org/name[@revision]')
    .requiredOption('--data <path>', 'public records, never the private ones')
    .option('--text <columns>', 'column(s) of the text', 'text')
    .option('--label <column>', 'column of the label', 'label')
    .option('--labels <names>', 'the labels in order; by default those of the data')
    .option('--label-values <pairs>', 'what values of the label column mean')
    .option('--train <part>', 'head, all, layers:2,3 or lora:8[:alpha[:targets]]', 'head')
    .option('--head <kind>', 'pooler or mean')
    .option('--json', 'one JSON object')
    .action(async (from: string, flags: TrainFlags) => {
      const settings = parseSettings({ ...TRAIN_DEFAULTS, ...flags, model: from, out: '.', holdOut: '0' });
      const directory = await readLocalModel(from);
      const labels = settings.labels ?? (await labelsInData(settings));
      const { train } = await readTrainData(settings, labels, systemRng);
      const shape = { batch: 16, tokens: Math.min(settings.maxTokens, directory.config.maxPositions) };
      const options = { labels, maxTokens: shape.tokens };
      const examples = encodeRecords(train.slice(0, 512), openTokenizer(directory.tokenizer), options);
      const weights = new Map(directory.weights);
      for (const name of ['classifier.weight', 'classifier.bias']) weights.delete(name);
      const bert = await openBert(settings, { ...directory, weights }, labels, shape, onnxCpuEngine(), systemRng);
      const advice = await adviseClip(bert, examples, shape).finally(() => bert.dispose());
      const terminal = openTerminal(flags['json'] === true);
      terminal.emit(advice);
      const { low, median, high } = advice.norms;
      terminal.say(
        `norms      ${low.toPrecision(3)} (10 %), ${median.toPrecision(3)} (middle), ${high.toPrecision(3)} (90 %) of ${advice.examples} public records`,
      );
      terminal.say(
        `clip       ${advice.clip.toPrecision(2)}: a tenth of the middle norm, so that nearly every gradient counts alike (automatic clipping)`,
      );
      terminal.say(
        `or         ${advice.norms.median.toPrecision(2)}: the middle norm, which leaves half of the gradients as they are`,
      );
    });
}
