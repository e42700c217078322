//! Id, ShortId, NodeId and their text forms.
