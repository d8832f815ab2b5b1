"""Whole training steps of BERT in PyTorch and Opacus, one at a time on demand, for `npm run bench -- training`.

Run as `python torch_steps.py`, it reads one JSON object a line from standard input and answers each with one line:
    {"make": KIND, "shape": {...}}   prepares a model     -> {"ready": true}
    {"step": true}                   one whole step       -> {"cpu_ms": ...}
    {"drop": true}                   forgets the model    -> {"ready": true}
KIND: plain (scaled_dot_product_attention, fused Adam: PyTorch at its best), default (the default Adam),
opacus-per-sample, opacus-ghost (clipping without noise, so that only gradients and clipping are compared).
"""

import gc
import json
import sys
import time
import warnings

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.set_num_interop_threads(1)
torch.manual_seed(0)
VOCABULARY = 30522
CLIP = 0.5


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mix = nn.Linear(width, width)
        self.mix_norm = nn.LayerNorm(width, eps=1e-12)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.narrow_norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x):
        batch, tokens, width = x.shape

        def split(y):
            return y.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(split(self.query(x)), split(self.key(x)), split(self.value(x)))
        x = self.mix_norm(x + self.mix(mixed.transpose(1, 2).reshape(batch, tokens, width)))
        return self.narrow_norm(x + self.narrow(F.gelu(self.wide(x))))


class Bert(nn.Module):
    def __init__(self, layers, width, heads):
        super().__init__()
        self.word = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.position = nn.Embedding(512, width)
        self.segment = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.pooler = nn.Linear(width, width)
        self.classifier = nn.Linear(width, 2)

    def forward(self, ids, positions, types):
        x = self.norm(self.word(ids) + self.position(positions) + self.segment(types))
        for block in self.blocks:
            x = block(x)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


class Stepper:
    def __init__(self, kind, shape):
        batch, tokens = shape["batch"], shape["tokens"]
        model = Bert(shape["layers"], shape["hiddenSize"], shape["heads"]).train()
        self.inputs = (
            (5 + torch.arange(batch * tokens) * 7919 % (VOCABULARY - 5)).view(batch, tokens),
            torch.arange(tokens).expand(batch, tokens).contiguous(),
            torch.zeros(batch, tokens, dtype=torch.long),
        )
        self.labels = torch.arange(batch) % 2
        self.loss = nn.CrossEntropyLoss()
        self.model = model
        if kind == "default":
            self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
        else:
            self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
        if kind.startswith("opacus"):
            self.private(kind, batch)

    def private(self, kind, batch):
        from opacus import GradSampleModule
        from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping

        options = {"noise_multiplier": 0.0, "max_grad_norm": CLIP, "expected_batch_size": batch}
        if kind == "opacus-per-sample":
            self.model = GradSampleModule(self.model)
            self.optimizer = DPOptimizer(self.optimizer, **options)
            return
        from opacus.grad_sample import GradSampleModuleFastGradientClipping
        from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

        self.model = GradSampleModuleFastGradientClipping(self.model, max_grad_norm=CLIP, use_ghost_clipping=True)
        self.optimizer = DPOptimizerFastGradientClipping(self.optimizer, **options)
        self.loss = DPLossFastGradientClipping(self.model, self.optimizer, nn.CrossEntropyLoss())

    def step(self):
        before = time.process_time()
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.model(*self.inputs), self.labels).backward()
        self.optimizer.step()
        return 1000 * (time.process_time() - before)


def answer(request, stepper):
    if "make" in request:
        return Stepper(request["make"], request["shape"]), {"ready": True}
    if "step" in request:
        return stepper, {"cpu_ms": stepper.step()}
    return None, {"ready": True}


def main():
    stepper = None
    for line in sys.stdin:
        stepper, reply = answer(json.loads(line), stepper)
        gc.collect()
        print(json.dumps(reply), flush=True)


main()
