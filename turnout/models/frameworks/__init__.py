"""Networks behind scikit-learn's API: TensorFlow and JAX by Keras 3, and PyTorch.

Estimators for `train` and `tune`, by dotted paths such as `turnout.models.frameworks.JaxClassifier`. No framework is
loaded before a network is made. Keras's own wrappers (`keras.wrappers`) have no probabilities, no early stopping and no
saved form that scikit-learn's pipelines could be kept with, and scikeras is for Keras 2.
"""

from turnout.models.frameworks.keras import JaxClassifier, JaxRegressor, TensorFlowClassifier, TensorFlowRegressor
from turnout.models.frameworks.torch import TorchClassifier, TorchRegressor

__all__ = [
    "JaxClassifier",
    "JaxRegressor",
    "TensorFlowClassifier",
    "TensorFlowRegressor",
    "TorchClassifier",
    "TorchRegressor",
]
