"""LitServe with an MLflow model: `python litserve_server.py MODEL_DIRECTORY PORT`.

As https://lightning.ai/docs/litserve/get-started shows it.
"""

import sys

import litserve as ls
import mlflow
import pandas as pd


class MLflowAPI(ls.LitAPI):
    def __init__(self, directory: str):
        super().__init__()
        self.directory = directory

    def setup(self, device):
        self.model = mlflow.pyfunc.load_model(self.directory)
        self.columns = self.model.metadata.get_input_schema().input_dict()

    def decode_request(self, request):
        frame = pd.DataFrame(request["input"])
        for name, column in self.columns.items():
            frame[name] = frame[name].astype(column.type.to_pandas())
        return frame

    def predict(self, frame):
        return self.model.predict(frame)

    def encode_response(self, output):
        return {"output": output.tolist()}


if __name__ == "__main__":
    directory, port = sys.argv[1:]
    server = ls.LitServer(MLflowAPI(directory), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(port), num_api_servers=1, generate_client_file=False)
