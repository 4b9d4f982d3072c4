"""KServe's model server with an MLflow model: `python kserve_server.py MODEL_DIRECTORY PORT`.

A model of one's own, as https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/custom-predictor
shows it: KServe has no runtime for MLflow models of its own.
"""

import sys

import mlflow
import pandas as pd
from kserve import Model, ModelServer


class MLflowModel(Model):
    def __init__(self, name: str, directory: str):
        super().__init__(name)
        self.directory = directory
        self.load()

    def load(self) -> bool:
        self.model = mlflow.pyfunc.load_model(self.directory)
        self.columns = self.model.metadata.get_input_schema().input_dict()
        self.ready = True
        return self.ready

    def predict(self, payload: dict, headers: dict | None = None, response_headers: dict | None = None) -> dict:
        frame = pd.DataFrame(payload["instances"])
        for name, column in self.columns.items():
            frame[name] = frame[name].astype(column.type.to_pandas())
        return {"predictions": self.model.predict(frame).tolist()}


if __name__ == "__main__":
    directory, port = sys.argv[1:]
    ModelServer(http_port=int(port), enable_grpc=False, workers=1).start([MLflowModel("model", directory)])
