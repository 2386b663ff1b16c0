"""The engine: specs, compilation to DVC, running of stages, tracking and reports. It knows nothing about video."""
