//! Opening a store: at the same time as others, without the right to make tables, and where it cannot be.

use std::time::Duration;

use futures_util::future::join_all;
use tidings_core::{Deadline, ErrorKind};
use tidings_stores::{Postgres, Settings, Sqlite};

use crate::{
    home::{Home, LONG},
    on_both,
};

async fn several_processes_may_open_an_empty_database_at_once(home: &Home) {
    let stores = join_all((0..4).map(|_| home.open())).await;
    for store in &stores {
        let deadline = Deadline::after(LONG);
        store.locks().acquire("a", deadline).await.unwrap();
    }
}

async fn a_lease_that_makes_no_sense_is_refused(home: &Home) {
    let settings = Settings::default().with_lease(Duration::ZERO);
    let address = home.address();
    let refused = match home {
        Home::Sqlite { .. } => Sqlite::open_with(address, settings).await.unwrap_err(),
        Home::Postgres { .. } => Postgres::open_with(&address, settings).await.unwrap_err(),
    };
    assert_eq!(refused.kind(), ErrorKind::Misuse);
}

on_both!(
    several_processes_may_open_an_empty_database_at_once,
    a_lease_that_makes_no_sense_is_refused,
);

#[tokio::test]
async fn a_file_that_cannot_be_made_is_named() {
    let path = "/nowhere/at/all/store.sqlite";
    let refused = Sqlite::open(path).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(refused.to_string().contains(path), "{refused}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::sqlite();
    home.open().await.close().await;
    let file = std::fs::metadata(home.address()).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused() {
    let home = Home::sqlite();
    std::fs::write(
        home.address(),
        "this is no database, and long enough to see that",
    )
    .unwrap();
    let refused = Sqlite::open(home.address()).await.unwrap_err();
    assert!(refused.to_string().contains("store.sqlite"), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_wrong_address_does_not_show_its_password() {
    if let Some(home) = Home::postgres().await {
        let address = home.address().replace("//postgres@", "//nobody:hunter2@");
        let refused = Postgres::open(&address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused:?}");
        assert!(!refused.chain().contains("hunter2"), "{refused:?}");
        home.remove().await;
    }
}
