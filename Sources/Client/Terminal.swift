import CHost
import Glibc

/// Columns and rows of a terminal.
public struct WindowSize: Sendable, Hashable {
    public var columns: UInt16
    public var rows: UInt16
    public init(columns: UInt16, rows: UInt16) {
        self.columns = columns
        self.rows = rows
    }
}

/// What is known of a descriptor as a terminal.
public enum Terminal {
    public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns and rows; nil where `descriptor` is no terminal or does not know.
    public static func size(of descriptor: Int32) -> WindowSize? {
        var (columns, rows): (UInt16, UInt16) = (0, 0)
        guard isle_cli_window_size(descriptor, &columns, &rows) == 0, columns > 0, rows > 0 else { return nil }
        return WindowSize(columns: columns, rows: rows)
    }
}

/// A terminal in raw mode: every key comes through as it is typed. One at a time. The settings come back with
/// `restore`, when this goes, and when the program crashes.
public final class RawTerminal {
    private let descriptor: Int32

    /// Puts `descriptor` into raw mode.
    public init(_ descriptor: Int32) throws(ClientError) {
        self.descriptor = descriptor
        try enter()
    }

    /// Enters raw mode (again, after somebody stopped and continued the program).
    public func enter() throws(ClientError) {
        isle_cli_guard_restore()
        let result = isle_cli_guard_raw(descriptor)
        guard result == 0 else {
            throw ClientError(
                .local, "the terminal cannot be put into raw mode: \(String(cString: strerror(-result)))")
        }
    }

    /// Brings the settings back; a second call does nothing.
    public func restore() { isle_cli_guard_restore() }

    deinit { isle_cli_guard_restore() }
}
