//! What the stores promise, on every database that has them. Several stores on one database stand for several processes.

#![cfg(test)]

mod home;
mod lock_faults;
mod locks;
mod opening;
mod replies;
mod reply_faults;

/// Runs each behaviour on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($behaviour:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let home = crate::home::Home::sqlite();
                super::$behaviour(&home).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                if let Some(home) = crate::home::Home::postgres().await {
                    super::$behaviour(&home).await;
                    home.remove().await;
                }
            })+
        }
    };
}
pub(crate) use on_both;
