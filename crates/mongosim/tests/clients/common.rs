//! What the tests by the driver for Rust share.

use std::future::Future;
use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use vouchsafe_mongosim::Mongo;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, test)
            .await
            .expect("it takes too long")
    })
}

pub(crate) fn started() -> (tempfile::TempDir, Mongo) {
    let dir = tempfile::tempdir().unwrap();
    let mongo = Mongo::start(dir.path());
    (dir, mongo)
}

pub(crate) async fn client(mongo: &Mongo) -> Client {
    Client::with_uri_str(mongo.uri()).await.unwrap()
}

pub(crate) async fn admin(client: &Client, command: Document) -> Document {
    client.database("admin").run_command(command).await.unwrap()
}

pub(crate) async fn all(client: &Client, database: &str, collection: &str) -> Vec<Document> {
    let found = client
        .database(database)
        .collection::<Document>(collection)
        .find(doc! {})
        .await
        .unwrap();
    found.try_collect().await.unwrap()
}

pub(crate) fn code(error: &mongodb::error::Error) -> i32 {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Command(command) => command.code,
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code,
        ErrorKind::InsertMany(many) => many.write_errors.as_ref().unwrap()[0].code,
        other => panic!("{other:?}"),
    }
}
