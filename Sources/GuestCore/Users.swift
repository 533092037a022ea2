/// Who a process runs as.
public struct Identity: Sendable, Hashable {
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups.
    public var groups: [UInt32]
    public var home: String
    public var name: String
}

/// Looks `user[:group]` up in the contents of passwd(5) and group(5). Names win over numbers; a number needs no entry.
/// nil if a name does not exist.
public func resolveUser(_ text: String, passwd: [UInt8], group: [UInt8]) -> Identity? {
    let parts = splitFields(text, ":")
    let wanted = parts[0].utf8.isEmpty ? "0" : parts[0]
    var identity: Identity?
    var numeric: Identity?
    for line in splitLines(passwd) {
        let fields = splitFields(line, ":")
        guard fields.count >= 7, let uid = number(fields[2]), let gid = number(fields[3]) else { continue }
        let entry = Identity(uid: uid, gid: gid, groups: [], home: fields[5], name: fields[0])
        if fields[0] == wanted {
            identity = entry
            break
        }
        if numeric == nil, number(wanted) == uid { numeric = entry }
    }
    if identity == nil { identity = numeric }
    if identity == nil, let uid = number(wanted) {
        identity = Identity(uid: uid, gid: 0, groups: [], home: "/", name: "")
    }
    guard var found = identity else { return nil }
    if parts.count > 1 {
        guard let gid = resolveGroup(parts[1], group: group) else { return nil }
        found.gid = gid
        return found
    }
    guard !found.name.utf8.isEmpty else { return found }
    for line in splitLines(group) {
        let fields = splitFields(line, ":")
        guard fields.count >= 4, let gid = number(fields[2]) else { continue }
        for member in splitFields(fields[3], ",") where member == found.name { found.groups.append(gid) }
    }
    return found
}

private func resolveGroup(_ text: String, group: [UInt8]) -> UInt32? {
    for line in splitLines(group) {
        let fields = splitFields(line, ":")
        if fields.count >= 3, fields[0] == text, let gid = number(fields[2]) { return gid }
    }
    return number(text)
}
