//! What a version says of its file besides name, size, time and mode. Sealed with them.
//!
//! Knows no file system. Invariants: one set of attributes has one encoding; what this program does not know is kept as it
//! is.

use crate::limits::{ATTRIBUTES_MAX, EXTENSIONS_MAX};
use crate::wire::Malformed;
use crate::wire::cursor::{Field, Reader, put_counted, put_list, require};
use crate::wire::record::Extension;

/// Bytes that the file took where it came from, if these are fewer than it has: it has holes.
const ALLOCATED: u16 = 1;
/// Extended attributes.
const XATTRS: u16 = 2;

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Its name with its name space, such as `user.comment`.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Everything that is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Bytes that the file took where it came from, if these are fewer than it has.
    pub allocated: Option<u64>,
    /// Extended attributes, by their names, none twice.
    pub xattrs: Vec<Xattr>,
    /// What a newer program says.
    pub unknown: Vec<Extension>,
}

impl Attributes {
    /// Whether they fit into a record.
    #[must_use]
    pub fn fit(&self) -> bool {
        let fields = self.fields();
        fields.len() <= EXTENSIONS_MAX && length(&fields) <= ATTRIBUTES_MAX
    }

    fn fields(&self) -> Vec<Extension> {
        let allocated = self.allocated.map(|bytes| (ALLOCATED, bytes.to_be_bytes().to_vec()));
        let xattrs = (!self.xattrs.is_empty()).then(|| {
            let mut value = Vec::new();
            for xattr in &self.xattrs {
                put_counted(&xattr.name, usize::from(u16::MAX), &mut value);
                put_counted(&xattr.value, usize::from(u16::MAX), &mut value);
            }
            (XATTRS, value)
        });
        let known = allocated.into_iter().chain(xattrs);
        let known = known.map(|(tag, value)| Extension { tag, value });
        let mut fields: Vec<_> = known.chain(self.unknown.iter().cloned()).collect();
        // What is not known may have any tag, and stand before what is.
        fields.sort_by_key(|field| field.tag);
        fields
    }
}

/// With a tag and a length each.
fn length(fields: &[Extension]) -> usize {
    fields.iter().map(|field| 4 + field.value.len()).sum()
}

impl Field for Attributes {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(&self.fields(), EXTENSIONS_MAX, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let fields: Vec<Extension> = from.list(EXTENSIONS_MAX)?;
        require(length(&fields) <= ATTRIBUTES_MAX, "attributes longer than their limit")?;
        require(fields.is_sorted_by(|a, b| a.tag < b.tag), "attributes not in ascending order")?;
        let mut all = Self::default();
        for field in fields {
            match field.tag {
                ALLOCATED => {
                    let bytes =
                        field.value.try_into().map_err(|_| Malformed("a number of bytes"))?;
                    all.allocated = Some(u64::from_be_bytes(bytes));
                }
                XATTRS => all.xattrs = xattrs(&field.value)?,
                _ => all.unknown.push(field),
            }
        }
        Ok(all)
    }
}

fn xattrs(bytes: &[u8]) -> Result<Vec<Xattr>, Malformed> {
    let mut from = Reader::new(bytes);
    let mut found: Vec<Xattr> = Vec::new();
    while !from.is_empty() {
        let name = from.counted(ATTRIBUTES_MAX)?.to_vec();
        found.push(Xattr { name, value: from.counted(ATTRIBUTES_MAX)?.to_vec() });
    }
    require(!found.is_empty(), "no extended attribute where some are said to be")?;
    require(found.is_sorted_by(|a, b| a.name < b.name), "extended attributes out of order")?;
    require(found.iter().all(|one| !one.name.is_empty() && !one.name.contains(&0)), "its name")?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr { name: name.into(), value: value.to_vec() }
    }

    fn encoded(all: &Attributes) -> Vec<u8> {
        let mut out = Vec::new();
        all.put(&mut out);
        out
    }

    fn decoded(bytes: &[u8]) -> Result<Attributes, Malformed> {
        let mut from = Reader::new(bytes);
        let all = Attributes::take(&mut from)?;
        from.finish().map(|()| all)
    }

    #[test]
    fn what_is_known_and_what_is_not_comes_back() {
        let unknown = vec![Extension { tag: 9, value: b"later".to_vec() }];
        let xattrs = vec![xattr("user.a", b""), xattr("user.b", &[0, 255])];
        let all = Attributes { allocated: Some(7), xattrs, unknown };
        for all in [all, Attributes::default()] {
            assert!(all.fit());
            assert_eq!(decoded(&encoded(&all)), Ok(all));
        }
    }

    #[test]
    fn too_much_or_out_of_order_is_refused() {
        let long = Attributes { xattrs: vec![xattr("user.a", &[1; 1020])], ..Default::default() };
        assert!(!long.fit() && decoded(&encoded(&long)).is_err());
        for xattrs in [
            vec![xattr("b", b""), xattr("a", b"")],
            vec![xattr("a", b""), xattr("a", b"")],
            vec![xattr("", b"")],
            vec![xattr("a\0", b"")],
        ] {
            assert!(decoded(&encoded(&Attributes { xattrs, ..Default::default() })).is_err());
        }
    }

    #[test]
    fn what_is_not_known_may_stand_before_what_is() {
        let unknown = [0, 3].map(|tag| Extension { tag, value: vec![8] }).to_vec();
        let all = Attributes { allocated: Some(7), xattrs: vec![xattr("user.a", b"b")], unknown };
        let bytes = encoded(&all);
        assert_eq!(bytes[..7], [0, 4, 0, 0, 0, 1, 8]);
        assert_eq!(decoded(&bytes), Ok(all));
    }

    fn field() -> impl Strategy<Value = Extension> {
        let number = any::<[u8; 8]>().prop_map(|value| (ALLOCATED, value.to_vec()));
        let xattrs = any::<u8>().prop_map(|value| (XATTRS, vec![0, 1, b'a', 0, 1, value]));
        let unknown = (0u16..6, any::<[u8; 3]>()).prop_map(|(tag, value)| (tag, value.to_vec()));
        prop_oneof![number, xattrs, unknown].prop_map(|(tag, value)| Extension { tag, value })
    }

    proptest! {
        #[test]
        fn any_fields_decode_to_themselves_or_not_at_all(
            mut fields in proptest::collection::vec(field(), 0..5), sorted: bool,
        ) {
            if sorted {
                fields.sort_by_key(|field| field.tag);
            }
            let mut bytes = Vec::new();
            put_list(&fields, EXTENSIONS_MAX, &mut bytes);
            if let Ok(all) = decoded(&bytes) {
                prop_assert_eq!(encoded(&all), bytes);
            }
        }

        #[test]
        fn any_bytes_decode_to_themselves_or_not_at_all(bytes: Vec<u8>) {
            if let Ok(all) = decoded(&bytes) {
                prop_assert_eq!(encoded(&all), bytes);
            }
        }
    }
}
