/// The values of the `/1.0` REST API, as they stand in JSON: LXD 5.0's, with Isle's additions named as such.
///
/// Fields are decoded as LXD's own clients decode them: a missing or null field is the empty value of its type, an
/// unknown field is ignored. An optional property is left out of the JSON when it is nil.
/// Names and meaning: https://documentation.ubuntu.com/lxd/en/stable-5.0/api/
public enum API {}
