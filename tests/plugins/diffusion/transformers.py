"""Tiny pipelines of the transformer families for oracles: true architectures, random weights, saved as diffusers saves them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from tests.plugins.conftest import write_tokenizer
from tests.plugins.diffusion.unets import REAL, real_tokenizer, text_encoder

VAE_CHANNELS = 16


def clip(tokenizer: Any, *, projected: bool, width: int = 32) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=3,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def t5(length: int = 512, width: int = 32, **settings: Any) -> tuple[Any, Any]:
    """A T5 tokenizer that spells, and an encoder."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    letters = "abcdefghijklmnopqrstuvwxyz ,.-"
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
    tokenizer = T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=length)
    size = {"vocab_size": len(vocab), "d_model": width, "d_kv": 8, "d_ff": 37, "num_heads": 4, "num_layers": 2, **settings}
    return tokenizer, T5EncoderModel(T5Config(**size))


REAL_T5 = {"d_kv": 64, "num_heads": 1, "feed_forward_proj": "gated-gelu"}
"""What the shapes in a file do not tell is what T5-XXL has."""


def real_clip(kind: str, *, pad: str | None = None, **settings: Any) -> tuple[Any, Any]:
    """CLIP's own vocabulary and an encoder whose settings the shapes in a file tell."""
    tokenizer = real_tokenizer(**({} if pad is None else {"pad_token": pad}))
    return tokenizer, text_encoder(tokenizer, kind, **{**REAL["text"], **settings})


def autoencoder(scale: float = 1.5, shift: float = 0.06, groups: int = 8) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(2 * groups, 4 * groups),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=groups,
        latent_channels=VAE_CHANNELS,
        scaling_factor=scale,
        shift_factor=shift,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def sd3(folder: Path, *, with_t5: bool = True, real: bool = False) -> Path:
    """``real``: one that a file of the original layout can hold."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    torch.manual_seed(0)
    projecting = "CLIPTextModelWithProjection"
    if real:
        first = real_clip(projecting, projection_dim=64)
        second = real_clip(projecting, pad="!", hidden_act="gelu", hidden_size=128, projection_dim=128)
    else:
        spelling = write_tokenizer(folder / "made", 77)
        first, second = ((spelling, clip(spelling, projected=True)) for _ in range(2))
    width = 192 if real else 64
    tokenizer_3, text_encoder_3 = t5(256, width, **(REAL_T5 if real else {})) if with_t5 else (None, None)
    transformer = SD3Transformer2DModel(
        sample_size=128 if real else 16,
        patch_size=2,
        in_channels=VAE_CHANNELS,
        num_layers=2,
        attention_head_dim=64 if real else 8,
        num_attention_heads=1 if real else 4,
        joint_attention_dim=width,
        caption_projection_dim=64 if real else 32,
        pooled_projection_dim=width,
        out_channels=VAE_CHANNELS,
        pos_embed_max_size=24,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    return saved(
        StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=autoencoder(*((1.5305, 0.0609, 32) if real else ())),
            text_encoder=first[1],
            tokenizer=first[0],
            text_encoder_2=second[1],
            tokenizer_2=second[0],
            text_encoder_3=text_encoder_3,
            tokenizer_3=tokenizer_3,
        ),
        folder,
    )


def flux(folder: Path, *, guided: bool = True, real: bool = False, kind: str = "FluxPipeline") -> Path:
    """``real``: one that a file of the original layout can hold."""
    import diffusers
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel

    torch.manual_seed(0)
    if real:
        spelling, words = real_clip("CLIPTextModel")
    else:
        spelling = write_tokenizer(folder / "made", 77)
        words = clip(spelling, projected=False)
    tokenizer_2, text_encoder_2 = t5(**(REAL_T5 if real else {}))
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * VAE_CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=32 if real else 16,
        num_attention_heads=1 if real else 2,
        joint_attention_dim=32,
        pooled_projection_dim=words.config.hidden_size,
        guidance_embeds=guided,
        axes_dims_rope=(4, 14, 14) if real else (4, 6, 6),
    )
    moving = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15)
    return saved(
        getattr(diffusers, kind)(
            scheduler=moving if guided else FlowMatchEulerDiscreteScheduler(shift=1.0),
            vae=autoencoder(*((0.3611, 0.1159, 32) if real else ())),
            text_encoder=words,
            tokenizer=spelling,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
            transformer=transformer,
        ),
        folder,
    )


VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
CHAT = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")


def qwen_tokenizer() -> Any:
    """Qwen's tokenizer, one token a byte, with the chat template of Qwen 3 as far as one message needs it."""
    from transformers import Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    names = ["<|endoftext|>", *bytes_to_unicode().values()]
    tokenizer = Qwen2Tokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", *VISION]})
    before, after = (part.replace("\n", "\\n") for part in CHAT)
    tokenizer.chat_template = "{{ '" + before + "' + messages[0].content + '" + after + "' }}"
    return tokenizer


def flux2_klein(folder: Path, *, distilled: bool = False) -> Path:
    from diffusers import Flux2KleinPipeline
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    tokenizer = qwen_tokenizer()
    before, after = "<|im_start|>user\\n", "<|im_end|>\\n<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n"
    tokenizer.chat_template = "{{ '" + before + "' + messages[0].content + '" + after + "' }}"
    words = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), num_hidden_layers=28, **LANGUAGE))
    codec, transformer, scheduler = flux2_borders(guided=False)
    return saved(Flux2KleinPipeline(scheduler, codec, words, tokenizer, transformer, is_distilled=distilled), folder)


def flux2_dev(folder: Path) -> Path:
    """The tokenizer is named after the processor of pictures and words, as in the real directory, which is never opened as one."""
    from diffusers import Flux2Pipeline
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    torch.manual_seed(0)
    tokenizer = mistral_tokenizer()
    text = {"model_type": "mistral", "vocab_size": len(tokenizer), "num_hidden_layers": 31, **LANGUAGE}
    eyes = {"model_type": "pixtral", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=eyes))
    codec, transformer, scheduler = flux2_borders(guided=True)
    return saved(Flux2Pipeline(scheduler, codec, words, tokenizer, transformer), folder)


LANGUAGE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
}


def flux2_borders(*, guided: bool) -> tuple[Any, Any, Any]:
    """Codec, transformer and scheduler."""
    from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel

    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    codec = AutoencoderKLFlux2(block_out_channels=(16, 32), layers_per_block=1, latent_channels=4, norm_num_groups=8, **kinds)
    codec.bn.running_mean.normal_()
    codec.bn.running_var.uniform_(0.5, 2.0)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=96,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guided,
    )
    return codec, transformer, FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)


def mistral_tokenizer() -> Any:
    """Mistral's tokenizer, one token a byte, with its chat template as far as an instruction and one message need it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    special = ["<unk>", "<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
    letters = Tokenizer(models.BPE({name: i for i, name in enumerate([*special, *bytes_to_unicode().values()])}, []))
    letters.pre_tokenizer, letters.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters,
        **{"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
        additional_special_tokens=special[4:],
        padding_side="left",
    )
    told = "{{ '[SYSTEM_PROMPT]' + messages[0].content[0].text + '[/SYSTEM_PROMPT][INST]' + messages[1].content[0].text + '[/INST]' }}"
    tokenizer.chat_template = "{{ bos_token }}" + told
    return tokenizer


def z_image(folder: Path) -> Path:
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    tokenizer = qwen_tokenizer()
    words = Qwen3Model(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=512,
        )
    )
    transformer = ZImageTransformer2DModel(
        in_channels=VAE_CHANNELS,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=32,
        axes_dims=[4, 6, 6],
        axes_lens=[512, 64, 64],
    )
    torch.nn.init.normal_(transformer.x_pad_token, std=0.02)
    torch.nn.init.normal_(transformer.cap_pad_token, std=0.02)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return saved(ZImagePipeline(scheduler, autoencoder(), words, tokenizer, transformer), folder)


def qwen_image(folder: Path, kind: str = "QwenImagePipeline") -> Path:
    """``kind``: the pipeline's class; those that edit are saved without the processor, which needs torchvision."""
    import diffusers
    from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    tokenizer = qwen_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        "max_position_embeddings": 1024,
    }
    eyes = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
    seen = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    words = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=eyes, image_token_id=seen))
    transformer = QwenImageTransformer2DModel(
        in_channels=4 * VAE_CHANNELS,
        out_channels=VAE_CHANNELS,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 6, 6),
    )
    codec = AutoencoderKLQwenImage(base_dim=8, z_dim=VAE_CHANNELS, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False])
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, shift_terminal=0.02)
    parts = {"scheduler": scheduler, "vae": codec, "text_encoder": words, "tokenizer": tokenizer, "transformer": transformer}
    return saved(getattr(diffusers, kind)(**parts, **({"processor": None} if "Edit" in kind else {})), folder)


def pixart(folder: Path, *, sigma: bool = False) -> Path:
    """``sigma``: PixArt-sigma; else the alpha model that is told the size."""
    from diffusers import DDIMScheduler, PixArtAlphaPipeline, PixArtSigmaPipeline, PixArtTransformer2DModel

    torch.manual_seed(0)
    tokenizer, words = t5()
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=VAE_CHANNELS,
        out_channels=2 * VAE_CHANNELS,
        num_layers=2,
        cross_attention_dim=24,
        sample_size=16 if sigma else 128,
        caption_channels=32,
        use_additional_conditions=not sigma,
    )
    kind = PixArtSigmaPipeline if sigma else PixArtAlphaPipeline
    scheduler = DDIMScheduler(beta_start=0.0001, beta_end=0.02, clip_sample=False)
    return saved(kind(tokenizer, words, autoencoder(1.5, 0.0), transformer, scheduler), folder)


def aura_flow(folder: Path) -> Path:
    from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel, FlowMatchEulerDiscreteScheduler
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    tokenizer, _ = t5()
    words = UMT5EncoderModel(UMT5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=37, num_heads=4, num_layers=2))
    transformer = AuraFlowTransformer2DModel(
        sample_size=32,
        in_channels=VAE_CHANNELS,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        out_channels=VAE_CHANNELS,
        pos_embed_max_size=4096,
    )
    return saved(AuraFlowPipeline(tokenizer, words, autoencoder(), transformer, FlowMatchEulerDiscreteScheduler(shift=1.73)), folder)


def chroma(folder: Path) -> Path:
    from diffusers import ChromaPipeline, ChromaTransformer2DModel, FlowMatchEulerDiscreteScheduler

    torch.manual_seed(0)
    tokenizer, words = t5()
    transformer = ChromaTransformer2DModel(
        in_channels=4 * VAE_CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=32,
        approximator_layers=1,
    )
    return saved(ChromaPipeline(FlowMatchEulerDiscreteScheduler(), autoencoder(), words, tokenizer, transformer), folder)


def saved(pipeline: Any, folder: Path) -> Path:
    for network in pipeline.components.values():
        for name, parameter in network.named_parameters() if isinstance(network, torch.nn.Module) else ():
            if parameter.dim() > 1 and "embed" not in name and not parameter.any():  # what is trained from zero would hide faults
                torch.nn.init.normal_(parameter, std=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.save_pretrained(folder / "model")
    return folder / "model"
