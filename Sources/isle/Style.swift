import CLIKit
import Client
import Glibc

/// One of this process's outputs: whether it is a terminal, and whether colours are wanted there.
struct Style {
    let descriptor: Int32
    let isTerminal: Bool
    let isColored: Bool

    static let output = Style(STDOUT_FILENO)
    static let error = Style(STDERR_FILENO)

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        isTerminal = Terminal.isTerminal(descriptor)
        // https://no-color.org
        let refused = !(Environment["NO_COLOR"] ?? "").isEmpty || Environment["TERM"] == "dumb"
        isColored = isTerminal && !refused
    }

    /// Columns of the terminal; nil without one.
    var width: Int? { isTerminal ? Terminal.size(of: descriptor).map { Int($0.columns) } : nil }

    /// Writes all of `text`; a reader that has gone ends the program, as it would end any filter.
    func write(_ text: String) { write(Array(text.utf8)) }

    /// Writes all of `bytes` as they are.
    func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR && errno != EAGAIN {
                exit(errno == EPIPE ? 128 + SIGPIPE : 1)
            }
        }
    }

    func paint(_ text: String, _ color: Color) -> String { isColored ? color.paint(text) : text }
}
