//! The shape of a handler: how many arguments, whatever they are.

/// A function of one to nine arguments, called with a tuple of them.
///
/// You never implement this trait: every function that takes its arguments by value has it.
pub trait Function<Args> {
    /// What the function returns; for an `async fn` that is its future.
    type Returned;

    /// Calls the function.
    fn apply(&self, args: Args) -> Self::Returned;
}

macro_rules! functions {
    ($($($argument:ident)*;)*) => {$(
        impl<F, R, $($argument,)*> Function<($($argument,)*)> for F
        where
            F: Fn($($argument,)*) -> R,
        {
            type Returned = R;

            #[expect(non_snake_case, reason = "each argument is named after its type")]
            fn apply(&self, ($($argument,)*): ($($argument,)*)) -> R {
                self($($argument,)*)
            }
        }
    )*};
}

functions! {
    M;
    T1 M;
    T1 T2 M;
    T1 T2 T3 M;
    T1 T2 T3 T4 M;
    T1 T2 T3 T4 T5 M;
    T1 T2 T3 T4 T5 T6 M;
    T1 T2 T3 T4 T5 T6 T7 M;
    T1 T2 T3 T4 T5 T6 T7 T8 M;
}
