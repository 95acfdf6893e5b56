"""The names that strangers may build on. Taking one away, or adding one by accident, is a decision: it shows here."""

from __future__ import annotations

import importlib

import pytest

NAMES = {
    "gesso.client": """
        Cancelled Client Done Event Failed Job Log Preview Progress Queued Remote Result ResultImage Started start_daemon
    """,
    "gesso.plugin": """
        CaptionedImage CaptionedSource CodecContext CodecSpec CommandSpec Fault FilterSpec GuidanceSpec JobContext Level Lifecycle
        ModelEvent Operation OperationParams Places PluginContext PluginState PreviewContext PreviewSpec Registry RequestContext
        ResolveContext ResultContext SamplerSpec ScheduleSpec ScoreContext ScorerSpec StyleSpec UpscaleContext UpscalerSpec
        WorkerEvent add_stranger build_plugins codec command compile_operations compile_to from_k_diffusion guidance hookimpl
        hookspec preview request_filter result_filter sampler schedule scorer upscaler
    """,
    "gesso.model": """
        Adapter Aligns Applies Autoencoder Cascade Conditioning Continues Control Controlled Decodes Defaults Denoises Embedding
        Embeds EncodesImages EncodesNegatives EncodesText Factors Family Frugal Latent Lesson Limits Lora Memory Model ModelCard
        ModelRef Offload Painting Parametrisation Part Patch Perturbation Perturbs Plan Pupil Seamless Shift Shown Size Stage
        Teachable Thrift TokenChoice overlaid
    """,
    "gesso.media": "MaterialMaps Output Recipe Rendered",
    "gesso.engine": """
        All Apply Call CallError Decode Denoise DenoiseGrad Denoised Denoiser Embed Emit EncodeImage EncodeText Ended Engine
        Graded Gradient Guide Hooks Host Job JobEvent Kept Lead Leading Load Loss ModelRef Models Moment NEGATIVE NextTokens
        PROMPT Predicted Preview Progress Prompted Regions ReplayLog Row Run Steer Ticket Token Wait Warn Windows drive guided
        in_windows led masked plain recorded regional reporting steered windowed
    """,
    "gesso.math": """
        Noise NoiseSource Space along exponential_weights fixed_adams_bashforth initial_noise lagrange_weights phi seed_of
        sigma_at slerp time_of uniform
    """,
    "gesso.testing": """
        Consistency Gaussian InProcessDaemon Made Mixture Studio Trajectory Wavy check_operation check_sampler check_schedule
        check_scorer check_upscaler epsilon_model flow_model run trace
    """,
}


@pytest.mark.parametrize("module", NAMES)
def test_exactly_these_names_are_exported_and_exist(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(NAMES[module].split())
    assert [name for name in found.__all__ if not hasattr(found, name)] == []
