"""What the official driver for Python sees of the simulator: client.py URI."""
import sys

import pymongo
from bson import Timestamp
from bson.codec_options import CodecOptions
from pymongo.errors import BulkWriteError, CollectionInvalid, DuplicateKeyError, OperationFailure

client = pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=20000)
shop = client.shop

assert client.server_info()["version"].startswith("7.0.")
assert client.admin.command("hello")["setName"] == "rs0"

# Documents.
shop.orders.insert_many([{"_id": n, "n": n % 7, "s": str(n)} for n in range(2500)])
assert [d["_id"] for d in shop.orders.find()] == list(range(2500))
assert shop.orders.count_documents({"n": {"$gt": 4}}) == sum(1 for n in range(2500) if n % 7 > 4)
assert shop.orders.update_many({"n": 1}, {"$inc": {"n": 10}, "$set": {"x.y": 1}}).modified_count == 357
assert shop.orders.find_one({"x.y": 1})["n"] == 11
assert [d["_id"] for d in shop.orders.find({"n": 2}, {"n": 1}).sort("_id", -1).limit(2)] == [2494, 2487]
assert shop.orders.delete_many({"n": {"$lte": 2}}).deleted_count > 0
try:
    shop.orders.insert_many([{"_id": "a"}, {"_id": "a"}, {"_id": "b"}], ordered=False)
    raise AssertionError("a key went in twice")
except BulkWriteError as error:
    assert error.details["nInserted"] == 2 and error.details["writeErrors"][0]["index"] == 1
assert shop.orders.find_one_and_update({"_id": "a"}, {"$set": {"k": 5}}, return_document=True) == {"_id": "a", "k": 5}
assert sorted(shop.orders.distinct("k")) == [5]

# Collections and indexes.
shop.orders.create_index([("s", 1)], unique=True, sparse=True)
try:
    shop.orders.insert_one({"_id": "c", "s": "5"})
    raise AssertionError("a unique index let a key in twice")
except DuplicateKeyError as error:
    assert error.details["keyValue"] == {"s": "5"}
assert set(shop.orders.index_information()) == {"_id_", "s_1"}
shop.create_collection("capped", capped=True, size=100000)
try:
    shop.create_collection("capped")
    raise AssertionError("a collection was made twice")
except CollectionInvalid:
    pass
assert shop.capped.options()["capped"] is True
assert sorted(shop.list_collection_names()) == ["capped", "orders"]
shop.orders.rename("sold")
assert "sold" in shop.list_collection_names()

# A transaction, a snapshot, and the oplog.
with client.start_session() as session:
    with session.start_transaction():
        shop.sold.insert_one({"_id": "t"}, session=session)
        assert client.shop.sold.find_one({"_id": "t"}) is None
    assert shop.sold.find_one({"_id": "t"}) == {"_id": "t"}
with client.start_session(snapshot=True) as session:
    before = shop.sold.count_documents({}, session=session)
    shop.sold.insert_one({"_id": "later"})
    assert shop.sold.count_documents({}, session=session) == before
oplog = client.local["oplog.rs"]
last = oplog.find().sort("$natural", -1).next()
assert isinstance(last["ts"], Timestamp) and last["op"] == "i" and last["o"]["_id"] == "later"
tail = oplog.find({"ts": {"$gt": last["ts"]}}, cursor_type=pymongo.CursorType.TAILABLE_AWAIT)
shop.sold.delete_one({"_id": "later"})
assert tail.next()["op"] == "d" and tail.alive
tail.close()

# Faults that are asked for.
client.admin.command("simulate", {"refuse": "dbStats", "code": 13, "times": 1})
try:
    shop.command("dbStats")
    raise AssertionError("it was to be refused")
except OperationFailure as error:
    assert error.code == 13
assert shop.command("dbStats")["collections"] == 2
raw = client.admin.command("replSetGetStatus", codec_options=CodecOptions(tz_aware=True))
assert raw["optimes"]["durableOpTime"]["t"] == 1
print("all well")
