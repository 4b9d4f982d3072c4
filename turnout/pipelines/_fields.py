"""Parameters that several pipelines have: their types, bounds and fields in Airflow's trigger form."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from turnout import Examples, Labels, NotWith, Title
from turnout.components.evaluate import Metric
from turnout.components.train import Derived

_CLASSES = ("roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "accuracy", "f1")
_NUMBERS = ("r2", "neg_mean_absolute_error", "neg_root_mean_squared_error")

# --- data -----------------------------------------------------------------------------------------------

Table = Annotated[str, Title("Table")]
Revision = Annotated[str, Title("DVC revision"), Examples("HEAD", "main")]
TimeColumns = Annotated[list[str], Title("Columns of times")]
Separator = Annotated[str, Title("CSV separator"), Examples(";", ",", "tab", "|")]
Decimal = Annotated[
    Literal["auto", ".", ","],
    Title("CSV decimal mark"),
    Labels({"auto": "found from the columns", ".": "point, as in 1.5", ",": "comma, as in 1,5"}),
]
Encoding = Annotated[str, Title("CSV encoding"), Examples("utf-8", "latin-1", "cp1252", "utf-16")]
Suite = Annotated[
    str, Title("Expectations"), Examples("expectations/flights.json", "expectations/flights_to_predict.json")
]
Timestamp = Annotated[str, Title("Column of the time")]
Keys = Annotated[list[str], Title("Key columns")]
TimeZone = Annotated[str, Title("Time zone"), Examples("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")]
Prometheus = Annotated[str, Title("Prometheus file or Pushgateway"), Examples("http://localhost:9091")]

# --- features -------------------------------------------------------------------------------------------

FeatureService = Annotated[str, Title("Feature service")]
FeatureRepository = Annotated[str, Title("Feature repository")]
FeatureSources = Annotated[str, Title("Feature tables")]

# --- models ---------------------------------------------------------------------------------------------

Target = Annotated[str, Title("Column to predict")]
DropNullTarget = Annotated[bool, Title("Leave out rows without a target")]
Task = Annotated[
    Literal["classification", "regression"],
    Title("Kind of prediction"),
    Labels({"classification": "classification: which class", "regression": "regression: which number"}),
]
NotLearned = Annotated[list[str], Title("Columns not to learn from")]
Calendar = Annotated[list[Derived], Title("Calendar features")]
_NO_NETWORKS = (
    "lightgbm.LGBMClassifier",
    "lightgbm.LGBMRegressor",
    "sklearn.linear_model.LogisticRegression",
    "sklearn.linear_model.Ridge",
    "sklearn.ensemble.HistGradientBoostingClassifier",
    "sklearn.ensemble.HistGradientBoostingRegressor",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.ensemble.RandomForestRegressor",
)
Estimator = Annotated[
    str,
    Title("Estimator"),
    Examples(*_NO_NETWORKS),
    NotWith("task", {"classification": ("*Regressor",), "regression": ("*Classifier", "*LogisticRegression")}),
]
Hyperparameters = Annotated[dict[str, Any], Title("Hyperparameters")]
Seed = Annotated[int, Title("Random seed")]
ModelVersion = Annotated[str, Title("Model"), Examples("models:/flight-delay@champion", "models:/flight-delay/1")]
RegisteredModel = Annotated[str, Title("Registered model")]
Experiment = Annotated[str, Title("MLflow experiment")]

# --- test and judgement ---------------------------------------------------------------------------------

TestFraction = Annotated[float, Gt(0), Lt(1), Title("Share of test rows")]
GapHours = Annotated[float, Ge(0), Title("Hours left out before the test rows")]
JudgedBy = Annotated[
    Metric,
    Title("Metric that decides"),
    Labels(
        {
            "roc_auc": "ROC AUC, of classes (roc_auc)",
            "average_precision": "average precision, of classes (average_precision)",
            "neg_brier_score": "Brier score, of classes (neg_brier_score)",
            "neg_log_loss": "log loss, of classes (neg_log_loss)",
            "accuracy": "accuracy, of classes (accuracy)",
            "f1": "F1, of classes (f1)",
            "r2": "R², of numbers (r2)",
            "neg_mean_absolute_error": "mean absolute error, of numbers (neg_mean_absolute_error)",
            "neg_root_mean_squared_error": "root mean squared error, of numbers (neg_root_mean_squared_error)",
        }
    ),
    NotWith("task", {"classification": _NUMBERS, "regression": _CLASSES}),
]
MinimumImprovement = Annotated[float, Ge(0), Title("Improvement over the champion")]
Slices = Annotated[list[str], Title("Columns to break the score down by")]
MinimumRows = Annotated[int, Ge(1), Title("Least rows to judge by")]
RequireChampion = Annotated[bool, Title("There must be a champion")]

# --- service --------------------------------------------------------------------------------------------

_PRECISIONS = Labels(
    {
        "exact": "the model's own (exact)",
        "float16": "16 bits, of networks (float16)",
        "int8": "8 bits, of networks (int8)",
    }
)
Precision = Annotated[
    Literal["exact", "float16", "int8"],
    Title("Precision of the form that answers"),
    _PRECISIONS,
    NotWith("estimator", dict.fromkeys(_NO_NETWORKS, ("float16", "int8"))),  # told now, and not after the training
]
CandidatesPrecision = Annotated[
    Literal["exact", "float16", "int8"], Title("Precision of the form that answers"), _PRECISIONS
]
MaximumLoss = Annotated[float, Ge(0), Title("Loss that such a form may have")]
DeployTarget = Annotated[str, Title("Target"), Examples("registry", "local", "kubernetes:kubernetes.yaml")]
DeployPercent = Annotated[float, Gt(0), Le(100), Title("Percent of the requests")]
DeployShadow = Annotated[bool, Title("Copies of requests only")]

# --- predictions ----------------------------------------------------------------------------------------

Predictions = Annotated[str, Title("Table of predictions")]
Prefix = Annotated[str, Title("Prefix of added columns")]
PassedOn = Annotated[list[str], Title("Columns to pass on")]
Quarantine = Annotated[str, Title("Table for rows that fail")]

# --- search ---------------------------------------------------------------------------------------------

Trials = Annotated[int, Ge(1), Title("Most trials")]
Seconds = Annotated[float, Ge(0), Title("Seconds to search")]
Folds = Annotated[int, Ge(2), Title("Folds")]
Pruner = Annotated[
    Literal["none", "median"],
    Title("End hopeless trials early"),
    Labels({"none": "no", "median": "yes, when worse than the median so far"}),
]

# --- Spark ----------------------------------------------------------------------------------------------

Master = Annotated[str, Title("Spark cluster"), Examples("local[2]", "spark://host:7077", "sc://host:15002")]
SparkConf = Annotated[dict[str, str], Title("Spark settings")]
