//! Configuration keys that never change what inference computes.

/// Keys that nobody needs to read, at any depth.
pub(super) const IGNORED: &[&str] = &[
    // Where the model comes from.
    "_name_or_path",
    "architectures",
    "license",
    "transformers_version",
    "transformers.js_config",
    "unsloth_fixed",
    "unsloth_version",
    // The element type is that of the tensors.
    "dtype",
    "torch_dtype",
    // Read where the weights are opened, or named so that custom code can be refused.
    "auto_map",
    "quantization",
    "quantization_config",
    // Read as defaults of generation.
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "tokenizer_class",
    // Training, and how the Python library runs.
    "_attn_implementation",
    "_attn_implementation_autoset",
    "attention_dropout",
    "attn_pdrop",
    "embd_pdrop",
    "hidden_dropout",
    "initializer_range",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "pretraining_tp",
    "resid_pdrop",
    "return_dict",
    "router_aux_loss_coef",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    // Classification heads, which text generation has not.
    "_num_labels",
    "finetuning_task",
    "id2label",
    "label2id",
    "problem_type",
    "task_specific_params",
];
