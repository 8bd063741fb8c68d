//! Room of lists that are filled again and again.

/// Empties a list. Its room stays, where it is not larger than this.
pub fn empty<T>(list: &mut Vec<T>, room_bytes_max: usize) {
    list.clear();
    if list.capacity() * size_of::<T>() > room_bytes_max {
        *list = vec![];
    }
}
