import LinuxHost
import Model

/// Who a process runs as.
struct ResolvedUser: Sendable, Hashable {
    var uid: UInt32
    var gid: UInt32
    var additionalGroups: [UInt32]
    var home: String
}

/// Finds a `user[:group]` in the passwd(5) and group(5) files of an instance, as `docker run --user` does: names or
/// numbers; a number need not be listed; supplementary groups only when no group was named.
struct UserLookup: Sendable {
    private let passwd: [UInt8]
    private let group: [UInt8]

    /// Longer files are an attack: a directory of a million users has 100 MB.
    private static let limit = 8 << 20

    init(passwd: [UInt8], group: [UInt8]) {
        self.passwd = passwd
        self.group = group
    }

    /// Reads both files below `root`; one that is missing, or no regular file, has no entries.
    /// - Throws: `resourceExhausted` for a file of more than 8 MiB.
    init(root: RootDirectory) throws {
        self.init(passwd: try Self.content("etc/passwd", root), group: try Self.content("etc/group", root))
    }

    private static func content(_ path: String, _ root: RootDirectory) throws -> [UInt8] {
        do {
            return try root.readFile(path, limit: limit)
        } catch let error as EngineError where error.code != .resourceExhausted {
            return []
        }
    }

    /// - Throws: `notFound` for a name that is not listed, `invalidArgument` for a number out of range.
    func resolve(_ user: String?) throws -> ResolvedUser {
        let parts = (user ?? "").split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let name = parts.first ?? ""
        var result = ResolvedUser(uid: 0, gid: 0, additionalGroups: [], home: "/")
        var login: String?
        if name.isEmpty || Self.isNumber(name) {
            result.uid = name.isEmpty ? 0 : try Self.id(name)
            if let entry = account(where: { $0.uid == result.uid }) {
                (result.gid, result.home, login) = (entry.gid, entry.home, entry.name)
            }
        } else if let entry = account(where: { $0.name == name }) {
            (result.uid, result.gid, result.home, login) = (entry.uid, entry.gid, entry.home, entry.name)
        } else {
            throw EngineError(
                .notFound, "user \(Names.quoted(name)) is not in the instance's /etc/passwd",
                hint: "use a numeric id or a user that the image has")
        }
        if parts.count == 2, !parts[1].isEmpty {
            result.gid = try groupID(parts[1])
        } else if let login {
            result.additionalGroups = memberships(of: login).filter { $0 != result.gid }
        }
        // The primary group too: else a program that leaves it could reach files that are closed to that group.
        result.additionalGroups.insert(result.gid, at: 0)
        if result.home.isEmpty || !result.home.hasPrefix("/") { result.home = "/" }
        return result
    }

    /// The id of a group by name or number. Errors as for `resolve`.
    func group(_ name: String) throws -> UInt32 { try groupID(name) }

    private func groupID(_ name: String) throws -> UInt32 {
        if Self.isNumber(name) { return try Self.id(name) }
        for fields in Self.lines(group) where fields.count > 2 && fields[0].elementsEqual(name.utf8) {
            if let id = Self.number(fields[2]) { return id }
        }
        throw EngineError(
            .notFound, "group \(Names.quoted(name)) is not in the instance's /etc/group",
            hint: "use a numeric id or a group that the image has")
    }

    private struct Account {
        var name: String
        var uid: UInt32
        var gid: UInt32
        var home: String
    }

    private func account(where matches: (Account) -> Bool) -> Account? {
        for fields in Self.lines(passwd) where fields.count > 5 {
            // Lines with ids out of range are no accounts.
            guard let uid = Self.number(fields[2]), let gid = Self.number(fields[3]) else { continue }
            let account = Account(
                name: String(decoding: fields[0], as: UTF8.self), uid: uid, gid: gid,
                home: String(decoding: fields[5], as: UTF8.self))
            if matches(account) { return account }
        }
        return nil
    }

    private func memberships(of login: String) -> [UInt32] {
        var groups: [UInt32] = []
        for fields in Self.lines(group) where fields.count > 3 {
            guard let id = Self.number(fields[2]), !groups.contains(id),
                fields[3].split(separator: UInt8(ascii: ",")).contains(where: { $0.elementsEqual(login.utf8) })
            else { continue }
            groups.append(id)
            // The kernel takes 65,536; nobody is in more than a few dozen.
            if groups.count == 1024 { break }
        }
        return groups
    }

    private static func lines(_ bytes: [UInt8]) -> some Sequence<[ArraySlice<UInt8>]> {
        bytes.split(separator: UInt8(ascii: "\n")).lazy.map {
            $0.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        }
    }

    private static func isNumber(_ text: String) -> Bool { text.utf8.allSatisfy { (48...57).contains($0) } }

    /// The largest number is no id: the kernel reads it as "leave as it is".
    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        guard !bytes.isEmpty, bytes.allSatisfy({ (48...57).contains($0) }),
            let value = UInt32(String(decoding: bytes, as: UTF8.self)), value < .max
        else { return nil }
        return value
    }

    private static func id(_ text: String) throws -> UInt32 {
        guard let value = number(Array(text.utf8)[...]) else {
            throw EngineError(.invalidArgument, "\(Names.quoted(text)) is not a user or group id")
        }
        return value
    }
}
