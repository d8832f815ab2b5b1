"""Writes test/vectors/wordpiece-odd: what transformers' BertTokenizerFast makes of texts full of odd characters.

    python test/interop/make_wordpiece.py test/vectors/wordpiece-odd     # tokenizers 0.23.3, transformers 5.24.0
"""
import hashlib, json, os, random, sys
from tokenizers import normalizers, pre_tokenizers
from tokenizers.implementations import BertWordPieceTokenizer
from transformers import BertTokenizerFast

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rnd = random.Random(4)
SETTINGS = {  # do_lower_case, strip_accents, tokenize_chinese_chars
    'uncased': (True, None, True), 'cased': (False, None, True), 'uncased-accents': (True, False, True),
    'cased-stripped': (False, True, True), 'uncased-no-cjk': (True, None, False),
}
BASE = """the quick brown fox hospital patient notes über straße café naïve résumé Größe ΟΔΟΣ Σίσυφος Ελλάδα İstanbul
ışık ǅungla ﬁne العربية עברית हिन्दी தமிழ் ไทย 日本語 漢字 中文 医院 病人 한국어 서울 Привет мир ёлка й don't it's e-mail a/b 12.5 3,000
$5 100% @user #tag 😀 👍🏽 👨‍👩‍👧 🇩🇪 ½ ² Ⅷ ﷺ""".split()
SPECIAL = ['[CLS]', '[SEP]', '[MASK]', '[PAD]', '[UNK]', '[mask]', '[ MASK ]', 'x[MASK]y', '[MASK].', '[MASK][MASK]', '##ing', '##', '[unused1]']
ODD = list('\u200b\u200d\ufeff\u00ad\u0000\ufffd\u2028\u0085\u00a0\u3000\u1680\u2003\t\n\r\x0b\x0c\x7f\u0301\u0308\u1e9e\u0130\u0131ςΣﬃÅΩ'
           '\ud7a3𝔸𠀀𪜀🀄\u202e\ue000\uf8ff\U000f0000\u0378\u2fef〇々ー、。「！～—…“«·´`^~|<>+=€¢№°¨\u0660५؝৽᙭\u0897߽') + ['e\u0301', 'A\u030a', '\u1100\u1161']


def word():
    k = rnd.random()
    if k < .45: return rnd.choice(BASE)
    if k < .55: return rnd.choice(SPECIAL)
    if k < .75: return rnd.choice(BASE) + rnd.choice(ODD) + rnd.choice(BASE)
    if k < .85: return rnd.choice(ODD)
    if k < .90: return ''.join(chr(rnd.choice([rnd.randrange(32, 0x3000), rnd.randrange(0x3000, 0xd800), rnd.randrange(0x10000, 0x10500)])) for _ in range(3))
    if k < .93: return rnd.choice('abé日😀') * rnd.choice([50, 99, 100, 101])
    return rnd.choice(BASE).upper()


def text(least=0):
    return ''.join(word() + rnd.choice([' ', ' ', '  ', '', '\n']) for _ in range(rnd.randrange(least, 9)))


trained = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
trained.train_from_iterator([' '.join(BASE), ' '.join(BASE).lower(), ' '.join(BASE).upper()] * 3 + [text() for _ in range(60)], vocab_size=700, min_frequency=1,
                            special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'], show_progress=False)
vocab = [w for w, _ in sorted(trained.get_vocab().items(), key=lambda x: x[1]) if '\n' not in w and '\r' not in w]
open(f'{out}/vocab.txt', 'w', newline='\n').write('\n'.join(vocab) + '\n')


def options():
    o = {}
    if rnd.random() < .7: o |= dict(truncation=rnd.choice(['longest_first', 'only_first', 'only_second', True]), max_length=rnd.randrange(3, 20))
    if rnd.random() < .4:
        o['padding'] = rnd.choice(['max_length', True, 'longest'])
        if o['padding'] == 'max_length': o.setdefault('max_length', rnd.randrange(3, 24))
        if rnd.random() < .5: o['pad_to_multiple_of'] = rnd.choice([2, 4, 8])
    if rnd.random() < .2: o['add_special_tokens'] = False
    return o


def words_digest(lower, strip, cjk, below):
    """SHA-256 of the words of `a` + character + `b` for every character below, as JSON lines."""
    n = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=cjk, strip_accents=strip, lowercase=lower)
    p = pre_tokenizers.BertPreTokenizer()
    h = hashlib.sha256()
    for c in range(below):
        if 0xd800 <= c < 0xe000: continue
        h.update((json.dumps([w for w, _ in p.pre_tokenize_str(n.normalize_str(f'a{chr(c)}b'))], ensure_ascii=False, separators=(',', ':')) + '\n').encode())
    return h.hexdigest()


variants, digests = {}, {}
for name, (lower, strip, cjk) in SETTINGS.items():
    hf = BertTokenizerFast(vocab={w: i for i, w in enumerate(vocab)}, do_lower_case=lower, strip_accents=strip, tokenize_chinese_chars=cjk)
    hf.backend_tokenizer.save(f'{out}/{name}.json', pretty=False)
    cases = []
    for i in range(80):
        t, pair, o = text(), text(3) if i % 2 else None, options() if i >= 40 else {}
        try: e = hf(t, pair, **o)
        except BaseException: continue  # a text too short for what was asked
        cases.append(dict(id=f'{name}-{i}', text=t, **({'pair': pair} if pair is not None else {}), **({'options': o} if o else {}),
                          tokens=hf.convert_ids_to_tokens(e['input_ids']), ids=e['input_ids'], type_ids=e['token_type_ids'], attention_mask=e['attention_mask']))
    decode = [dict(ids=ids, skipSpecialTokens=skip, text=hf.backend_tokenizer.decode(ids, skip_special_tokens=skip))
              for skip in (True, False) for ids in ([rnd.randrange(len(vocab)) for _ in range(8)] for _ in range(6))]
    variants[name] = dict(vocab='vocab.txt', tokenizer=f'{name}.json', lowercase=lower, strip_accents=strip, tokenize_chinese_chars=cjk,
                          vocabSize=len(vocab), cases=cases, decode=decode)
    # Canonical decomposition grows with the engine's Unicode from U+10500 on.
    digests[name] = dict(below=0x10500, sha256=words_digest(lower, strip, cjk, 0x10500))
    if not strip and not lower: digests[name] = dict(below=0x110000, sha256=words_digest(lower, strip, cjk, 0x110000))
json.dump(dict(source='tokenizers 0.23.3, transformers 5.24.0 BertTokenizerFast. Made by test/interop/make_wordpiece.py.', tolerance='exact', words=digests, variants=variants),
          open(f'{out}/wordpiece.json', 'w'), ensure_ascii=True, separators=(',', ':'))
