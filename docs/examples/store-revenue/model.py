"""The annual revenue of a store, from what the warehouse knows of it.

Features are fetched by `store_id`, so whoever asks sends that alone. All of the transformations are scikit-learn's and
become a part of the ONNX graph: no Python of ours runs where the model is served.
"""

from typing import Any

from sluice import Model
from sluice.contract import Entity, Feature, FeatureReferences
from sluice.model import Columns, table

TYPICAL = {
    "margin_percent": 39.0,
    "owners": 1.0,
    "full_timers": 1.96,
    "part_timers": 1.28,
    "helpers": 1.37,
    "hours_week": 104.0,
    "hours_per_worker": 17.7,
    "invested_in_shop": 22207.0,
    "invested_in_automation": 22860.0,
    "floor_m2": 120.0,
}
"""The features, and the median of each: what is used where the deployment asks for defaults."""

WEEK = 7 * 24 * 3600


class StoreRevenue(Model):
    """Revenue in Dutch guilders a year."""

    name = "store-revenue"
    version = "1"
    target = "revenue"
    inputs = tuple(TYPICAL)
    # What `--search` chooses among; the first without it.
    parameters = {"algorithm": ("linear", "trees")}
    slices = ("size_class",)
    groups = ("size_class",)
    card = {
        "description": "Annual revenue of a fashion store, from its size, its staff and what was invested in it.",
        "owner": "retail-analytics",
        "intendedUse": "Planning of floor space and staff. Not for judging the people who work there.",
        "limitations": "400 Dutch men's fashion stores of 1990, in guilders; many values of the data set are means.",
    }

    def features(self) -> FeatureReferences:
        places = [Feature(name=name, default=median, maxAgeSeconds=WEEK) for name, median in TYPICAL.items()]
        return FeatureReferences(service="store_revenue", entities=(Entity(name="store_id"),), features=tuple(places))

    def train(
        self, data: Columns, target: Any, *, seed: int, previous: Model | None = None, algorithm: str = "linear"
    ) -> Any:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import GradientBoostingRegressor
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if algorithm == "linear":
            prepared, regressor = StandardScaler(), Ridge()
        else:
            # Trees need no scaler.
            prepared = SimpleImputer(strategy="median")
            regressor = GradientBoostingRegressor(
                loss="huber", n_estimators=200, learning_rate=0.05, subsample=0.7, random_state=seed
            )
        columns = ColumnTransformer([("numbers", prepared, list(data))])
        return make_pipeline(columns, regressor).fit(table(data), target)
