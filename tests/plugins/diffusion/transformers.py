"""Tiny pipelines of the transformer families for oracles: true architectures, random weights, saved as diffusers saves them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from tests.plugins.conftest import write_tokenizer

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


def t5(length: int = 512, width: int = 32) -> tuple[Any, Any]:
    """A T5 tokenizer that spells, and an encoder."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    letters = "abcdefghijklmnopqrstuvwxyz ,.-"
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
    tokenizer = T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=length)
    encoder = T5EncoderModel(T5Config(vocab_size=len(vocab), d_model=width, d_kv=8, d_ff=37, num_heads=4, num_layers=2))
    return tokenizer, encoder


def autoencoder() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=VAE_CHANNELS,
        scaling_factor=1.5,
        shift_factor=0.06,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def sd3(folder: Path, *, with_t5: bool = True) -> Path:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    torch.manual_seed(0)
    spelling = write_tokenizer(folder / "made", 77)
    tokenizer_3, text_encoder_3 = t5(256, 64) if with_t5 else (None, None)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=VAE_CHANNELS,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=VAE_CHANNELS,
        pos_embed_max_size=24,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    return saved(
        StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=autoencoder(),
            text_encoder=clip(spelling, projected=True),
            tokenizer=spelling,
            text_encoder_2=clip(spelling, projected=True),
            tokenizer_2=spelling,
            text_encoder_3=text_encoder_3,
            tokenizer_3=tokenizer_3,
        ),
        folder,
    )


def flux(folder: Path, *, guided: bool = True) -> Path:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    spelling = write_tokenizer(folder / "made", 77)
    tokenizer_2, text_encoder_2 = t5()
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * VAE_CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )
    moving = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15)
    return saved(
        FluxPipeline(
            scheduler=moving if guided else FlowMatchEulerDiscreteScheduler(shift=1.0),
            vae=autoencoder(),
            text_encoder=clip(spelling, projected=False),
            tokenizer=spelling,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
            transformer=transformer,
        ),
        folder,
    )


CHAT = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")


def qwen_tokenizer() -> Any:
    """Qwen's tokenizer, one token a byte, with the chat template of Qwen 3 as far as one message needs it."""
    from transformers import Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    names = ["<|endoftext|>", *bytes_to_unicode().values()]
    tokenizer = Qwen2Tokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    before, after = (part.replace("\n", "\\n") for part in CHAT)
    tokenizer.chat_template = "{{ '" + before + "' + messages[0].content + '" + after + "' }}"
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
