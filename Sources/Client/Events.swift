extension IsleClient {
    /// Calls `body` with each event as JSON, until the daemon closes the stream or `body` throws.
    public func events(types: [String], _ body: ([UInt8]) throws -> Void) throws {
        let socket = try webSocket(Endpoint(["events"], query: [("type", types.joined(separator: ","))]))
        while let message = try socket.nextMessage(.never) { try body(message) }
    }
}
