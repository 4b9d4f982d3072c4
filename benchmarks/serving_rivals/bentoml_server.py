"""BentoML with an MLflow model: `bentoml serve bentoml_server:Served --port PORT`, with SERVED_MODEL, a directory, set.

As https://docs.bentoml.com/en/latest/examples/mlflow.html shows it. BENTOML_HOME says where the model is imported to.
"""

import os

import bentoml
import numpy as np
import pandas as pd

bentoml.mlflow.import_model("served", os.environ["SERVED_MODEL"])


@bentoml.service(workers=1)
class Served:
    bento_model = bentoml.models.BentoModel("served:latest")

    def __init__(self) -> None:
        self.model = bentoml.mlflow.load_model(self.bento_model)
        self.columns = self.model.metadata.get_input_schema().input_dict()

    @bentoml.api
    def predict(self, input_data: pd.DataFrame) -> np.ndarray:
        for name, column in self.columns.items():
            input_data[name] = input_data[name].astype(column.type.to_pandas())
        return self.model.predict(input_data)
