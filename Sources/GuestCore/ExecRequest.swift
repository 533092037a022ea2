/// A process that the agent is to start.
public struct ExecRequest: Sendable, Hashable {
    public var arguments: [String]
    /// `NAME=value`; `PATH`, `HOME` and, with a terminal, `TERM` are added where they are missing.
    public var environment: [String]
    public var directory: String
    /// `user[:group]`, names or numbers; empty is root.
    public var user: String
    public var terminal: Bool
    public var openInput: Bool
    public var columns: UInt16
    public var rows: UInt16

    public init(
        arguments: [String], environment: [String] = [], directory: String = "/", user: String = "",
        terminal: Bool = false, openInput: Bool = false, columns: UInt16 = 80, rows: UInt16 = 24
    ) {
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.user = user
        self.terminal = terminal
        self.openInput = openInput
        self.columns = columns
        self.rows = rows
    }

    public var encoded: [UInt8] {
        var bytes: [UInt8] = [terminal ? 1 : 0, openInput ? 1 : 0]
        bytes.append(number: UInt32(columns))
        bytes.append(number: UInt32(rows))
        bytes.append(text: directory)
        bytes.append(text: user)
        for list in [arguments, environment] {
            bytes.append(number: UInt32(list.count))
            for item in list { bytes.append(text: item) }
        }
        return bytes
    }

    /// nil if `bytes` are not what `encoded` makes, or no program is named.
    public init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let terminal = reader.byte(), let openInput = reader.byte(), let columns = reader.number(),
            let rows = reader.number(), let directory = reader.text(), let user = reader.text(),
            let arguments = reader.texts(), let environment = reader.texts(), reader.remaining == 0,
            !arguments.isEmpty
        else { return nil }
        self.init(
            arguments: arguments, environment: environment, directory: directory, user: user,
            terminal: terminal != 0, openInput: openInput != 0, columns: UInt16(truncatingIfNeeded: columns),
            rows: UInt16(truncatingIfNeeded: rows))
    }
}
