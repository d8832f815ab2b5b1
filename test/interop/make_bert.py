"""Writes test/vectors/bert-variants: other shapes, activations, tasks and adapters than test/vectors/bert-tiny has, in its format.

    python test/interop/make_bert.py test/vectors/bert-variants     # torch 2.15.0, transformers 5.24.0, peft 0.21.2

float64 on float32 weights, one example at a time; adapters with B drawn from N(0, 0.2), since a B of zeros hides A.
"""
import json, os, sys
import torch, numpy as np
from torch.func import functional_call
from transformers import BertConfig, BertForSequenceClassification, BertForPreTraining, BertForMaskedLM
from safetensors.torch import save_file
OUT = sys.argv[1]
os.makedirs(OUT,exist_ok=True)
def perturb(model, g):
    with torch.no_grad():
        for n,p in model.named_parameters():
            if n.endswith('bias') or 'LayerNorm' in n: p.add_(0.1*torch.randn(p.shape,generator=g))
    return model
def batch(g,B,T,V,types,pat):
    ids=torch.randint(5,V,(B,T),generator=g); mask=torch.ones(B,T,dtype=torch.long); tt=torch.randint(0,types,(B,T),generator=g)
    for b in range(B):
        L=int(torch.randint(1,T+1,(1,),generator=g)) if b else T
        if pat=='right': mask[b,L:]=0; ids[b,L:]=0; tt[b,L:]=0
        elif pat=='left': mask[b,:T-L]=0; ids[b,:T-L]=0; tt[b,:T-L]=0
        elif pat=='holes':
            m=torch.rand(T,generator=g)<.4; m[0]=False; mask[b,m]=0; ids[b,m]=0
        elif pat=='nonzero-pad': mask[b,L:]=0   # ids and types kept
        elif pat=='padinside': ids[b,T//2:]=0  # PAD id under mask 1
    ids[:,0]=torch.where(mask[:,0]==1,torch.full_like(ids[:,0],2),ids[:,0])
    return ids,mask,tt
def grads_of(model,lossf,names,params):
    gs=torch.autograd.grad(lossf,params,allow_unused=True)
    return {n:(torch.zeros_like(p) if g is None else g) for n,p,g in zip(names,params,gs)}
def write(d,case,tensors,cfg=None):
    p=os.path.join(OUT,d); os.makedirs(p,exist_ok=True)
    json.dump(case,open(p+'/case.json','w'))
    for f,t in tensors.items(): save_file({k:v.detach().to(torch.float32).contiguous().clone() for k,v in t.items()},f'{p}/{f}')
    if cfg is not None: json.dump(cfg,open(p+'/config.json','w'))
def private(model,names,params,example_loss,B,rename=lambda n:n):
    per=[grads_of(model,example_loss(b),names,params) for b in range(B)]
    norms=[float(torch.sqrt(sum((g**2).sum() for g in p.values()))) for p in per]
    sq={rename(n):[float((p[n]**2).sum()) for p in per] for n in names}
    out={};clips=[]
    for f,C in (('clipped_sum.safetensors',0.5),('clipped_sum_mid.safetensors',float(np.median(norms)))):
        fac=[min(1,C/x) if x>0 else 1 for x in norms]
        out[f]={rename(n):sum(c*p[n] for c,p in zip(fac,per)) for n in names}
        clips.append(dict(C=C,file=f,factors=fac))
    return dict(norms=norms,squaredNorms=sq,clips=clips),out
def ptype(task): return {'single_label':'single_label_classification','multi_label':'multi_label_classification','regression':'regression'}[task]
def labels_for(g,task,B,L):
    if task=='single_label': return torch.randint(0,L,(B,),generator=g)
    if task=='multi_label': return (torch.rand(B,L,generator=g)<.5).double()
    return torch.randn(B,L,generator=g).double()
def eloss(task,logits,labels):
    if task=='single_label': return torch.nn.functional.cross_entropy(logits,labels,reduction='none')
    if task=='multi_label': return torch.nn.functional.binary_cross_entropy_with_logits(logits,labels,reduction='none').mean(1)
    return ((logits-labels)**2).mean(1)
def seq(name,seed,H=32,heads=4,layers=2,ffn=64,V=1000,P=64,types=2,act='gelu',L=3,B=5,T=12,pat='right',eps=1e-12,pad=0,task='single_label',others=True,extra={},prob=False):
    g=torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    cfg=BertConfig(vocab_size=V,hidden_size=H,num_hidden_layers=layers,num_attention_heads=heads,intermediate_size=ffn,max_position_embeddings=P,type_vocab_size=types,hidden_act=act,num_labels=L,layer_norm_eps=eps,pad_token_id=pad,initializer_range=.2,hidden_dropout_prob=0.,attention_probs_dropout_prob=0.,problem_type=ptype(task) if prob else None,**extra)
    cfg._attn_implementation='eager'
    m=perturb(BertForSequenceClassification(cfg),g).float()
    p=os.path.join(OUT,name); m.save_pretrained(p)
    m=m.double().eval()
    ids,mask,tt=batch(g,B,T,V,types,pat)
    names=[n for n,_ in m.named_parameters()]; params=[q for _,q in m.named_parameters()]
    out=m(ids,attention_mask=mask,token_type_ids=tt,output_hidden_states=True)
    pooled=m.bert(ids,attention_mask=mask,token_type_ids=tt).pooler_output
    lab=labels_for(g,task,B,L)
    le=eloss(task,out.logits,lab); loss=le.mean()
    tens={'grads.safetensors':grads_of(m,loss,names,params)}
    def el(b): return eloss(task,m(ids[b:b+1],attention_mask=mask[b:b+1],token_type_ids=tt[b:b+1]).logits,lab[b:b+1])[0]
    pe,cs=private(m,names,params,el,B); tens.update(cs)
    case=dict(source='torch 2.15.0, transformers 5.24.0, peft 0.21.2. Made by test/interop/make_bert.py.',tolerance='as bert-tiny',input_ids=ids.tolist(),attention_mask=mask.tolist(),token_type_ids=tt.tolist(),labels=lab.tolist(),logits=out.logits.tolist(),pooled_output=pooled.tolist(),last_hidden_state_example0=out.hidden_states[-1][0].tolist(),loss=float(loss),per_example_loss=le.tolist(),perExample=pe)
    if others:
        case['otherTasks']={}
        for t in ('multi_label','regression'):
            l2=labels_for(g,t,B,L); o=m(ids,attention_mask=mask,token_type_ids=tt).logits; e2=eloss(t,o,l2)
            gg=grads_of(m,e2.mean(),names,params)
            case['otherTasks'][t]=dict(labels=l2.tolist(),loss=float(e2.mean()),per_example_loss=e2.tolist(),grads={k:gg[k].tolist() for k in ('classifier.weight','classifier.bias')},gradNorms={k:float(gg[k].norm()) for k in names})
    write(name,case,tens)
def pre(name,seed,H=32,heads=4,layers=2,ffn=64,V=1000,P=64,types=2,act='gelu',B=5,T=12,pat='right',masked=(0,4),eps=1e-12,pad=0):
    g=torch.Generator().manual_seed(seed); torch.manual_seed(seed)
    cfg=BertConfig(vocab_size=V,hidden_size=H,num_hidden_layers=layers,num_attention_heads=heads,intermediate_size=ffn,max_position_embeddings=P,type_vocab_size=types,hidden_act=act,layer_norm_eps=eps,pad_token_id=pad,initializer_range=.2,hidden_dropout_prob=0.,attention_probs_dropout_prob=0.)
    cfg._attn_implementation='eager'
    m=perturb(BertForPreTraining(cfg),g).float(); m.tie_weights()
    p=os.path.join(OUT,name); m.save_pretrained(p); m=m.double().eval()
    ids,mask,tt=batch(g,B,T,V,types,pat)
    lab=torch.full((B,T),-100)
    for b in range(B):
        k=int(torch.randint(masked[0],masked[1]+1,(1,),generator=g))
        if b==B-1 and masked[0]==0: k=0
        pos=torch.nonzero(mask[b]).flatten(); pos=pos[torch.randperm(len(pos),generator=g)][:k]
        lab[b,pos]=torch.randint(1,V,(len(pos),),generator=g); 
        if pat!='padinside': ids[b,pos]=4
    ns=torch.randint(0,2,(B,),generator=g)
    names=[n for n,_ in m.named_parameters()]; params=[q for _,q in m.named_parameters()]
    ce=torch.nn.functional.cross_entropy
    o=m(ids,attention_mask=mask,token_type_ids=tt)
    mlm=ce(o.prediction_logits.view(-1,V),lab.view(-1)); nsp=ce(o.seq_relationship_logits,ns)
    loss=mlm+nsp
    def parts(b):
        o=m(ids[b:b+1],attention_mask=mask[b:b+1],token_type_ids=tt[b:b+1])
        n=ce(o.seq_relationship_logits,ns[b:b+1])
        k=int((lab[b]!=-100).sum())
        mm=ce(o.prediction_logits.view(-1,V),lab[b]) if k else torch.zeros(())
        return mm,n
    pm=[float(parts(b)[0]) for b in range(B)]; pn=[float(parts(b)[1]) for b in range(B)]
    tens={'grads.safetensors':grads_of(m,loss,names,params)}
    pe,cs=private(m,names,params,lambda b:sum(parts(b)),B); tens.update(cs)
    pred=[]
    for _ in range(4):
        b=int(torch.randint(0,B,(1,),generator=g)); t=int(torch.randint(0,T,(1,),generator=g))
        pred.append(dict(example=b,position=t,logits=o.prediction_logits[b,t].tolist()))
    case=dict(source='torch 2.15.0, transformers 5.24.0, peft 0.21.2. Made by test/interop/make_bert.py.',tolerance='as bert-pretrain-tiny',input_ids=ids.tolist(),attention_mask=mask.tolist(),token_type_ids=tt.tolist(),labels=lab.tolist(),next_sentence_label=ns.tolist(),mlm_loss=float(mlm),nsp_loss=float(nsp),loss=float(loss),per_example_mlm_loss=pm,per_example_nsp_loss=pn,per_example_loss=[a+b for a,b in zip(pm,pn)],mean_example_loss=float(np.mean([a+b for a,b in zip(pm,pn)])),seq_relationship_logits=o.seq_relationship_logits.tolist(),prediction_logits=pred,perExample=pe)
    write(name,case,tens)
def lora(name,seed,base,targets=('query','value'),r=4,alpha=8,modules=None,rslora=False,bias='none',rank_pattern={},alpha_pattern={},layers=None,task_type='SEQ_CLS',base_name=None,**kw):
    from peft import LoraConfig,get_peft_model
    g=torch.Generator().manual_seed(seed); torch.manual_seed(seed)
    bp=os.path.join(OUT,base)
    m=BertForSequenceClassification.from_pretrained(bp,attn_implementation='eager')
    cfg=LoraConfig(r=r,lora_alpha=alpha,target_modules=targets if isinstance(targets,str) else list(targets),use_rslora=rslora,bias=bias,rank_pattern=rank_pattern,alpha_pattern=alpha_pattern,layers_to_transform=layers,task_type=task_type,modules_to_save=modules,**kw)
    m=get_peft_model(m,cfg)
    with torch.no_grad():
        for n,q in m.named_parameters():
            if 'lora_B' in n: q.copy_(0.2*torch.randn(q.shape,generator=g))
    p=os.path.join(OUT,name); m.save_pretrained(p)
    ac=json.load(open(p+'/adapter_config.json')); ac['base_model_name_or_path']='../'+base; json.dump(ac,open(p+'/adapter_config.json','w'))
    m=m.double().eval()
    bc=json.load(open(bp+'/case.json'))
    ids,mask,tt=[torch.tensor(bc[k]) for k in ('input_ids','attention_mask','token_type_ids')]
    lab=torch.tensor(bc['labels']); B=len(ids)
    tr=[(n,q) for n,q in m.named_parameters() if q.requires_grad]
    names=[n for n,_ in tr]; params=[q for _,q in tr]
    ren=lambda n:n.replace('.default','').replace('.modules_to_save','').replace('.original_module','')
    out=m(input_ids=ids,attention_mask=mask,token_type_ids=tt)
    L=out.logits.shape[1]
    le=eloss('single_label',out.logits,lab); loss=le.mean()
    tens={'grads.safetensors':{ren(k):v for k,v in grads_of(m,loss,names,params).items()}}
    pe,cs=private(m,names,params,lambda b:eloss('single_label',m(input_ids=ids[b:b+1],attention_mask=mask[b:b+1],token_type_ids=tt[b:b+1]).logits,lab[b:b+1])[0],B,ren); tens.update(cs)
    mm=m.merge_and_unload() 
    tens['merged.safetensors']={k:v for k,v in mm.state_dict().items() if 'position_ids' not in k}
    write(name,dict(source='torch 2.15.0, transformers 5.24.0, peft 0.21.2. Made by test/interop/make_bert.py.',tolerance='as lora-tiny',base='../'+base,rank=r,alpha=alpha,useRslora=rslora,scale=alpha/r,targets=targets,trainable=[ren(n) for n in names],input_ids=ids.tolist(),attention_mask=mask.tolist(),token_type_ids=tt.tolist(),labels=lab.tolist(),logits=out.logits.tolist(),loss=float(loss),per_example_loss=le.tolist(),perExample=pe),tens)
torch.set_num_threads(1)
seq('quick-regression', 1, H=12, heads=3, layers=2, ffn=20, V=50, P=16, types=1, L=1, B=3, T=7, act='quick_gelu', pat='left', task='regression', others=False, prob=True)
seq('tanh-multi-label', 2, H=15, heads=5, layers=1, ffn=21, V=41, P=9, types=3, L=4, B=4, T=9, act='gelu_fast', pat='holes', task='multi_label', others=False)
pre('pretrain-many-masked', 3, H=12, heads=2, layers=1, ffn=20, V=45, P=14, types=3, B=3, T=14, masked=(0, 12), act='relu', eps=1e-6)
seq('base', 4, H=18, heads=6, layers=2, ffn=25, V=40, P=10, L=4, B=4, T=10, others=False)
lora('lora-stabilised', 5, 'base', targets=['dense'], r=4, alpha=4, rslora=True, task_type=None)
lora('lora-saved-pooler', 6, 'base', targets=['key', 'intermediate.dense'], layers=[1], r=3, alpha=5, modules=['classifier', 'pooler'])
lora('lora-embeddings', 7, 'base', targets=['query', 'word_embeddings'])
