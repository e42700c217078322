//! Manifests as stack items: the form in storage and on the stack.

use neo_base::UInt160;
use neo_crypto::secp256r1::PublicKey;
use neo_vm::{Fault, Heap, MapItems, StackItem};

use super::{Abi, Event, Group, Manifest, Method, Parameter, ParameterType, Permission, Target};
use crate::json::{Json, JsonError};

/// Levels of nesting of `extra`.
const MAX_DEPTH: usize = 64;

/// Why a stack item is not a manifest or contract.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// A field is missing or has another type; the number is its place.
    #[error("field {0} is missing or has another type")]
    Field(usize),
    /// A field has a value that it cannot have.
    #[error("{0} has a value that it cannot have")]
    Value(&'static str),
    /// A conversion of the virtual machine fails.
    #[error("a field cannot be converted")]
    Convert(#[from] Fault),
    /// `extra` is not JSON.
    #[error("extra is not JSON")]
    Extra(#[from] JsonError),
}

type Result<T> = std::result::Result<T, ItemError>;

impl Manifest {
    /// The stack item of the manifest.
    pub fn to_item(&self, heap: &mut Heap) -> StackItem {
        let groups = list(heap, &self.groups, |heap, group| {
            let fields = vec![StackItem::bytes(group.key.to_bytes()), StackItem::bytes(group.signature)];
            heap.new_struct(fields)
        });
        let features = heap.new_map(MapItems::default());
        let standards = list(heap, &self.supported_standards, |_, name| StackItem::bytes(name.as_bytes()));
        let methods = list(heap, &self.abi.methods, |heap, method| method.to_item(heap));
        let events = list(heap, &self.abi.events, |heap, event| {
            let fields = event_fields(heap, &event.name, &event.parameters);
            heap.new_struct(fields)
        });
        let abi = heap.new_struct(vec![methods, events]);
        let permissions = list(heap, &self.permissions, |heap, permission| {
            let methods =
                wildcard(heap, permission.methods.as_deref(), |name| StackItem::bytes(name.as_bytes()));
            heap.new_struct(vec![permission.contract.to_item(), methods])
        });
        let trusts = wildcard(heap, self.trusts.as_deref(), Target::to_item);
        let extra = StackItem::bytes(self.extra.to_string().into_bytes());
        let name = StackItem::bytes(self.name.as_bytes());
        heap.new_struct(vec![name, groups, features, standards, abi, permissions, trusts, extra])
    }

    /// The manifest of a stack item that [`Manifest::to_item`] made.
    ///
    /// # Errors
    /// The item has another form.
    pub fn from_item(heap: &Heap, item: &StackItem) -> Result<Self> {
        let fields = Fields::of(heap, item)?;
        let abi = Fields::of(heap, fields.get(4)?)?;
        let extra = heap.bytes_of(fields.get(7)?)?;
        Ok(Self {
            name: fields.text(0)?,
            groups: fields.list(1)?.iter().map(|item| group(heap, item)).collect::<Result<_>>()?,
            supported_standards: fields
                .list(3)?
                .iter()
                .map(|item| text(heap, item))
                .collect::<Result<_>>()?,
            abi: Abi {
                methods: abi
                    .list(0)?
                    .iter()
                    .map(|item| Method::from_item(heap, item))
                    .collect::<Result<_>>()?,
                events: abi.list(1)?.iter().map(|item| event(heap, item)).collect::<Result<_>>()?,
            },
            permissions: fields.list(5)?.iter().map(|item| permission(heap, item)).collect::<Result<_>>()?,
            trusts: fields.optional_list(6, |item| target(heap, item))?,
            extra: Json::parse(&extra, MAX_DEPTH)?,
        })
    }
}

impl Method {
    fn to_item(&self, heap: &mut Heap) -> StackItem {
        let mut fields = event_fields(heap, &self.name, &self.parameters);
        fields.push(StackItem::int(self.return_type.to_byte()));
        fields.push(StackItem::int(self.offset));
        fields.push(StackItem::Boolean(self.safe));
        heap.new_struct(fields)
    }

    fn from_item(heap: &Heap, item: &StackItem) -> Result<Self> {
        let Event { name, parameters } = event(heap, item)?;
        let fields = Fields::of(heap, item)?;
        Ok(Self {
            name,
            parameters,
            return_type: fields.parameter_type(2)?,
            offset: fields.get(3)?.to_int()?.to_i32().ok_or(ItemError::Value("offset"))?,
            safe: fields.get(4)?.to_bool()?,
        })
    }
}

impl Target {
    fn to_item(&self) -> StackItem {
        match self {
            Self::Any => StackItem::Null,
            Self::Hash(hash) => StackItem::bytes(hash.0),
            Self::Group(key) => StackItem::bytes(key.to_bytes()),
        }
    }
}

fn event_fields(heap: &mut Heap, name: &str, parameters: &[Parameter]) -> Vec<StackItem> {
    let parameters = list(heap, parameters, |heap, parameter| {
        let fields =
            vec![StackItem::bytes(parameter.name.as_bytes()), StackItem::int(parameter.kind.to_byte())];
        heap.new_struct(fields)
    });
    vec![StackItem::bytes(name.as_bytes()), parameters]
}

fn list<T>(heap: &mut Heap, items: &[T], write: impl Fn(&mut Heap, &T) -> StackItem) -> StackItem {
    let items = items.iter().map(|item| write(heap, item)).collect();
    heap.new_array(items)
}

fn wildcard<T>(heap: &mut Heap, items: Option<&[T]>, write: impl Fn(&T) -> StackItem) -> StackItem {
    match items {
        None => StackItem::Null,
        Some(items) => heap.new_array(items.iter().map(write).collect()),
    }
}

fn group(heap: &Heap, item: &StackItem) -> Result<Group> {
    let fields = Fields::of(heap, item)?;
    let key =
        PublicKey::from_bytes(&heap.bytes_of(fields.get(0)?)?).ok_or(ItemError::Value("key of a group"))?;
    let signature = heap.bytes_of(fields.get(1)?)?.try_into();
    Ok(Group { key, signature: signature.map_err(|_| ItemError::Value("signature of a group"))? })
}

fn event(heap: &Heap, item: &StackItem) -> Result<Event> {
    let fields = Fields::of(heap, item)?;
    let parameters = fields.list(1)?.iter().map(|item| {
        let fields = Fields::of(heap, item)?;
        Ok(Parameter { name: fields.text(0)?, kind: fields.parameter_type(1)? })
    });
    Ok(Event { name: fields.text(0)?, parameters: parameters.collect::<Result<_>>()? })
}

fn permission(heap: &Heap, item: &StackItem) -> Result<Permission> {
    let fields = Fields::of(heap, item)?;
    Ok(Permission {
        contract: target(heap, fields.get(0)?)?,
        methods: fields.optional_list(1, |item| text(heap, item))?,
    })
}

fn target(heap: &Heap, item: &StackItem) -> Result<Target> {
    if matches!(item, StackItem::Null) {
        return Ok(Target::Any);
    }
    let bytes = heap.bytes_of(item)?;
    match UInt160::from_slice(&bytes) {
        Some(hash) => Ok(Target::Hash(hash)),
        None => {
            PublicKey::from_bytes(&bytes).map(Target::Group).ok_or(ItemError::Value("target of a permission"))
        }
    }
}

fn text(heap: &Heap, item: &StackItem) -> Result<String> {
    String::from_utf8(heap.bytes_of(item)?).map_err(|_| ItemError::Value("text"))
}

/// The elements of an array or struct.
pub(crate) struct Fields<'a> {
    heap: &'a Heap,
    items: &'a [StackItem],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(heap: &'a Heap, item: &StackItem) -> Result<Self> {
        match item {
            StackItem::Array(id) | StackItem::Struct(id) => Ok(Self { heap, items: heap.list(*id) }),
            _ => Err(ItemError::Field(0)),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Result<&'a StackItem> {
        self.items.get(index).ok_or(ItemError::Field(index))
    }

    fn text(&self, index: usize) -> Result<String> {
        text(self.heap, self.get(index)?)
    }

    fn list(&self, index: usize) -> Result<&'a [StackItem]> {
        match self.get(index)? {
            StackItem::Array(id) | StackItem::Struct(id) => Ok(self.heap.list(*id)),
            _ => Err(ItemError::Field(index)),
        }
    }

    fn optional_list<T>(
        &self,
        index: usize,
        read: impl Fn(&StackItem) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        match self.get(index)? {
            StackItem::Null => Ok(None),
            _ => self.list(index)?.iter().map(read).collect::<Result<_>>().map(Some),
        }
    }

    fn parameter_type(&self, index: usize) -> Result<ParameterType> {
        let number = self.get(index)?.to_int()?.to_u64().and_then(|number| u8::try_from(number).ok());
        number.and_then(ParameterType::from_byte).ok_or(ItemError::Value("type of a parameter"))
    }
}
