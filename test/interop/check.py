"""Opens what Tacit wrote in Python, with no conversion, and compares every number.

    node dist/test/interop/prepare.js DIR
    python -m venv VENV && VENV/bin/pip install torch transformers peft sentence-transformers onnxruntime
    VENV/bin/python test/interop/check.py DIR

Exit code 1 when anything differs by more than its tolerance.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import peft
import sentence_transformers
import torch
import transformers
from transformers import (AutoModelForMaskedLM, AutoModelForPreTraining, AutoModelForSequenceClassification,
                          AutoTokenizer)

folder = Path(sys.argv[1])
expected = json.loads((folder / "expected.json").read_text())
texts = expected["texts"]
failed = False


def report(what, actual, wanted, tolerance):
    global failed
    error = float(np.abs(np.asarray(actual) - np.asarray(wanted)).max())
    failed |= not error <= tolerance
    print(f"{'ok    ' if error <= tolerance else 'FAILED'} max difference {error:.2e} of {tolerance:.0e}  {what}")


def logits(model, tokenizer):
    model.eval()
    with torch.no_grad():
        batches = [tokenizer(t, truncation=True, max_length=128, return_tensors="pt") for t in texts]
        return np.concatenate([model(**b).logits.numpy() for b in batches])


print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}, "
      f"sentence-transformers {sentence_transformers.__version__}, onnxruntime {onnxruntime.__version__}; {len(texts)} texts")

tokenizer = AutoTokenizer.from_pretrained(folder / "classifier")
ids = [tokenizer(t, truncation=True, max_length=128)["input_ids"] for t in texts]
same = sum(a == b for a, b in zip(ids, expected["classifier"]["ids"]))
failed |= same != len(texts)
print(f"{'ok    ' if same == len(texts) else 'FAILED'} token ids equal in {same} of {len(texts)} texts (AutoTokenizer)")

for name, tolerance in [("classifier", 1e-5), ("sharded", 1e-5), ("tuned", 1e-5), ("merged", 1e-5)]:
    model, info = AutoModelForSequenceClassification.from_pretrained(
        folder / name, output_loading_info=True, dtype=torch.float32)
    print(f"       {name}: {type(model).__name__}, missing {sorted(info['missing_keys'])}, "
          f"unexpected {sorted(info['unexpected_keys'])}, labels {model.config.id2label}")
    failed |= bool(info["missing_keys"]) or bool(info["unexpected_keys"])
    wanted = expected["tuned" if name == "merged" else name]["logits"]
    report(f"logits of {name}/ in transformers", logits(model, tokenizer), wanted, tolerance)

for kind in [AutoModelForPreTraining, AutoModelForMaskedLM]:
    model, info = kind.from_pretrained(folder / "pretrained", output_loading_info=True, dtype=torch.float32)
    missing = sorted(k for k in info["missing_keys"] if not k.startswith("cls.predictions.decoder"))
    print(f"       pretrained: {type(model).__name__}, missing {missing}")
    failed |= bool(missing)
    model.eval()
    for part in ["predictions", "nextSentence"] if kind is AutoModelForPreTraining else ["predictions"]:
        actual, wanted = [], []
        for case in expected["pretrained"]:
            row = torch.tensor([case["ids"]])
            with torch.no_grad():
                output = model(row)
            if part == "nextSentence":
                actual.append(output.seq_relationship_logits[0].numpy())
            else:
                pieces = output.prediction_logits if kind is AutoModelForPreTraining else output.logits
                actual.append(pieces[row == tokenizer.mask_token_id].numpy().ravel())
            wanted.append(case[part])
        report(f"{part} of pretrained/ in {type(model).__name__}", np.concatenate(actual), np.concatenate(wanted), 1e-4)

base = AutoModelForSequenceClassification.from_pretrained(folder / "classifier")
adapted = peft.PeftModel.from_pretrained(base, folder / "tuned" / "adapter")
report("logits of classifier/ + tuned/adapter/ in peft", logits(adapted, tokenizer), expected["tuned"]["logits"], 1e-5)
moved = np.abs(np.asarray(expected["tuned"]["logits"]) - np.asarray(expected["classifier"]["logits"])).max()
failed |= not moved > 0.01
print(f"{'ok    ' if moved > 0.01 else 'FAILED'} the adapter moves logits by up to {moved:.2f}")
adapted.save_pretrained(folder / "resaved-adapter")

# The mean of several layers brings a module of its own; that of one layer is the library's modules alone.
for name, source, trust in [("sentences", "mean", True), ("stock", "single", False)]:
    sentences = sentence_transformers.SentenceTransformer(str(folder / name), trust_remote_code=trust, device="cpu")
    sentences.max_seq_length = 128
    print(f"       {name}: {[type(m).__name__ for m in sentences]}")
    vectors = sentences.encode(texts, batch_size=4)
    report(f"vectors of {name}/ in sentence-transformers", vectors, expected[source]["features"], 1e-5)

for name in ["classifier", "mean"]:
    session = onnxruntime.InferenceSession(folder / f"{name}-onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    out = []
    for start in range(0, len(texts), 5):
        batch = tokenizer(texts[start:start + 5], truncation=True, max_length=128, padding=True, return_tensors="np")
        feeds = {key: batch[key].astype(np.int64) for key in ("input_ids", "attention_mask", "token_type_ids")}
        out.append(session.run(["logits"], feeds)[0])
    report(f"logits of {name}-onnx/model.onnx, any batch and length", np.concatenate(out), expected[name]["logits"], 1e-5)

sys.exit(1 if failed else 0)
