import DoorKit

/// Streams of an operation that clients open by secrets, one websocket each.
protocol ServedSession: Sendable {
    /// What moves the bytes of the websocket that `secret` opens; nil: it opens none, or none any more.
    func opening(_ secret: String) -> (@Sendable (WebSocket) async -> Void)?
}

extension StreamSession: ServedSession {
    func opening(_ secret: String) -> (@Sendable (WebSocket) async -> Void)? {
        guard let stream = claim(secret) else { return nil }
        return { [self] socket in await serve(stream, socket) }
    }
}

/// A word that only its finder may know: 256 bits.
enum StreamSecret {
    static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }
}
