"""What Feast's feature server 0.67 answered about 2 (there, with nulls), 1 (there) and 42 (not there), by its store."""

SQLITE = b"""{"results":[
{"values":[2,1,42],"statuses":["PRESENT","PRESENT","PRESENT"],
 "event_timestamps":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
{"values":[4,3,null],"statuses":["PRESENT","PRESENT","NOT_FOUND"],
 "event_timestamps":["2026-11-22T10:00:00Z","2026-11-22T10:00:00Z","1970-01-01T00:00:00Z"]},
{"values":[null,"A",null],"statuses":["PRESENT","PRESENT","NOT_FOUND"],
 "event_timestamps":["2026-11-22T10:00:00Z","2026-11-22T10:00:00Z","1970-01-01T00:00:00Z"]},
{"values":[null,1.5,null],"statuses":["PRESENT","PRESENT","NOT_FOUND"],
 "event_timestamps":["2026-11-22T10:00:00Z","2026-11-22T10:00:00Z","1970-01-01T00:00:00Z"]}],
"metadata":{"feature_names":["store_id","staff","city","size"]}}"""

REDIS = b"""{"results":[
{"values":[2,1,42],"statuses":["PRESENT","PRESENT","PRESENT"],
 "event_timestamps":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
{"values":[null,"A",null],"statuses":["PRESENT","PRESENT","PRESENT"],
 "event_timestamps":["2026-11-22T10:00:00Z","2026-11-22T10:00:00Z","1970-01-01T00:00:00Z"]},
{"values":[null,1.5,null],"statuses":["PRESENT","PRESENT","PRESENT"],
 "event_timestamps":["2026-11-22T10:00:00Z","2026-11-22T10:00:00Z","1970-01-01T00:00:00Z"]},
{"values":[4,3,null],"statuses":["PRESENT","PRESENT","PRESENT"],
 "event_timestamps":["2026-11-22T10:00:00Z","2026-11-22T10:00:00Z","1970-01-01T00:00:00Z"]}],
"metadata":{"feature_names":["store_id","city","size","staff"]}}"""

TIME = 1795341600.0
"""2026-11-22T10:00:00Z."""
