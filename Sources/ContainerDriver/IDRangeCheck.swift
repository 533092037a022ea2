public import DriverKit
import LinuxHost
import Model

/// Whether the host ids that stand for the users of unprivileged instances are free of other uses.
///
/// Isle is root and maps its own range, so it needs no entry in subuid(5); but a range that the file gives to somebody
/// else, or to another engine, must not be the same.
public struct IDRangeCheck {
    /// First id and number of ids.
    var first: UInt64
    var count: UInt64
    /// Contents of /etc/subuid and /etc/subgid by path; a missing file is empty.
    var files: [String: String]

    /// A line of such a file.
    struct Entry: Equatable {
        var owner: String
        var first: UInt64
        var count: UInt64
    }

    /// Entries of a file; lines that are not of the form `name:first:count` are passed over, as newuidmap(1) does.
    static func entries(_ text: String) -> [Entry] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, let first = UInt64(fields[1]), let count = UInt64(fields[2]), count > 0 else {
                return nil
            }
            return Entry(owner: String(fields[0]), first: first, count: count)
        }
    }

    func check() -> HostCheck {
        let name = "subordinate ids"
        let range = "\(first) to \(first + count - 1)"
        for (path, text) in files.sorted(by: { $0.key < $1.key }) {
            let clash = Self.entries(text).first { entry in
                let (end, overflow) = entry.first.addingReportingOverflow(entry.count)
                return entry.first < first + count && (overflow || end > first)
            }
            guard let clash else { continue }
            return HostCheck(
                name, .warning, "\(path) gives ids of Isle's range, \(range), to \(Names.quoted(clash.owner))",
                advice: "give \(Names.quoted(clash.owner)) another range: who owns these ids owns files of instances")
        }
        return HostCheck(name, .ok, "\(range) are Isle's; nobody else has them in /etc/subuid and /etc/subgid")
    }

    /// The check of this host's files.
    ///
    /// - Parameters:
    ///   - first: the first host id of Isle's.
    ///   - slots: number of ranges of 65536 ids.
    public static func host(first: UInt32, slots: Int) -> HostCheck {
        var files: [String: String] = [:]
        for path in ["/etc/subuid", "/etc/subgid"] where HostFiles.exists(path) {
            do {
                files[path] = String(decoding: try readSmallFile(path, limit: 1 << 20), as: UTF8.self)
            } catch {
                return HostCheck("subordinate ids", .warning, "\(error)", advice: "make \(path) readable")
            }
        }
        return IDRangeCheck(first: UInt64(first), count: UInt64(slots) * 65536, files: files).check()
    }
}
