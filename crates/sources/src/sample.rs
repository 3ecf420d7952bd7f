//! A small shop database, for demonstrations and tests.

use std::path::Path;

use rusqlite::Connection;
use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;

use crate::failure;

const SCHEMA: &str = "
    create table customers (id integer primary key, name text not null, town text not null);
    create table orders (
        id integer primary key,
        customer integer not null references customers(id),
        item text not null,
        price real not null,
        note text
    );
    create index orders_by_customer on orders(customer);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
        insert into customers select i, 'customer ' || i, 'town ' || (i % 17) from n;
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
        insert into orders
        select i, 1 + i % 500, 'item ' || (i * 7919 % 1009), (i * 31 % 10000) / 100.0,
               case when i % 5 = 0 then 'gift' end
        from n;
";

/// Makes a new database at `path`: 500 customers, 20,000 orders, always the same. A file that is there is an error.
pub fn write_sample_database(path: &Path) -> Result<(), CaptureError> {
    let failed = |source: rusqlite::Error| CaptureError::Unreadable {
        place: path.display().to_string(),
        message: source.to_string(),
        remedy: "choose a new file in a directory that can be written to".to_owned(),
    };
    if files::exists(path).map_err(failure::file)? {
        return Err(failure::target(
            path,
            "there is a file already; choose a new one",
        ));
    }
    let flags =
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let change = connection.transaction().map_err(failed)?;
    change.execute_batch(SCHEMA).map_err(failed)?;
    change.commit().map_err(failed)
}
