//! Enums whose variants tests can list, to compare them with contract/.

macro_rules! listed {
    ($(#[$attribute:meta])* pub enum $name:ident { $($variant:ident,)* }) => {
        $(#[$attribute])*
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            #[cfg(test)]
            pub(crate) const ALL: &[$name] = &[$($name::$variant),*];
        }
    };
}

pub(crate) use listed;
