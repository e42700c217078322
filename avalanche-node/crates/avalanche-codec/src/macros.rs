//! Two macros that state a layout once, for both directions: the field order of a struct and the type ids of an
//! interface. They replace about eighty hand-written pairs of encoder and decoder.

/// Implements [`Wire`](crate::Wire) for a struct: its fields in wire order.
///
/// `wire_struct!(Pair { left, right });`
#[macro_export]
macro_rules! wire_struct {
    ($name:ident $(<$($param:ident),+>)? { $($field:ident),* $(,)? }) => {
        impl $(<$($param: $crate::Wire),+>)? $crate::Wire for $name $(<$($param),+>)? {
            fn encode(&self, out: &mut $crate::Writer) {
                let Self { $($field),* } = self;
                $($crate::Wire::encode($field, out);)*
                let _ = out;
            }

            fn decode(input: &mut $crate::Reader<'_>) -> ::core::result::Result<Self, $crate::CodecError> {
                $(let $field = $crate::Wire::decode(input)?;)*
                let _ = input;
                ::core::result::Result::Ok(Self { $($field),* })
            }
        }
    };
}

/// Implements [`Wire`](crate::Wire) for an enum of one-field variants: the type id of each.
///
/// `wire_enum!(Shape { 5 => Circle, 7 => Square });`
#[macro_export]
macro_rules! wire_enum {
    ($name:ident { $($id:literal => $variant:ident),* $(,)? }) => {
        impl $crate::Wire for $name {
            fn encode(&self, out: &mut $crate::Writer) {
                match self {
                    $(Self::$variant(value) => {
                        out.u32_be($id);
                        $crate::Wire::encode(value, out);
                    })*
                }
            }

            fn decode(input: &mut $crate::Reader<'_>) -> ::core::result::Result<Self, $crate::CodecError> {
                match input.u32_be()? {
                    $($id => ::core::result::Result::Ok(Self::$variant($crate::Wire::decode(input)?)),)*
                    id => ::core::result::Result::Err($crate::CodecError::UnknownType { id, interface: stringify!($name) }),
                }
            }
        }

        impl $name {
            /// The codec's type id of this variant.
            #[must_use]
            pub fn type_id(&self) -> u32 {
                match self {
                    $(Self::$variant(_) => $id,)*
                }
            }
        }
    };
}
