/// The queue of packets that leave by a link (tc(8)).
extension NetlinkRequest {
    /// Lets at most `rate` bytes a second leave by the link, by a token bucket filter (tc-tbf(8)) in place of the queue
    /// that is there. `ENOENT` or `EOPNOTSUPP` if the kernel has none.
    ///
    /// - Parameter burst: bytes that may leave at once; at least the largest frame.
    /// - Parameter queue: bytes that wait; what comes on top is dropped.
    public static func limitRate(of link: UInt32, bytes rate: UInt64, burst: UInt32, queue: UInt32) -> NetlinkRequest {
        var body = MessageWriter()
        body.queueHeader(link)
        body.attribute(QueueAttribute.kind, string: "tbf")
        body.nested(QueueAttribute.options) { options in
            var parameters = MessageWriter()
            // `struct tc_tbf_qopt`: the rate, no peak rate, and three lengths of which the kernel takes the second from
            // the attribute below.
            parameters.rate(rate)
            parameters.rate(nil)
            parameters.append(queue)
            parameters.append(UInt32(0))
            parameters.append(UInt32(0))
            options.attribute(QueueAttribute.bucketParameters, parameters.bytes)
            options.attribute(QueueAttribute.bucketRate64, withUnsafeBytes(of: rate) { Array($0) })
            options.attribute(QueueAttribute.bucketBurst, number: burst)
        }
        return NetlinkRequest(
            type: MessageType.newQueue, flags: MessageFlag.create | MessageFlag.replace, body: body.bytes,
            summary: "limit the rate of link \(link)")
    }

    /// Back to the queue that links have by themselves. `ENOENT` if it is that already.
    public static func unlimitRate(of link: UInt32) -> NetlinkRequest {
        var body = MessageWriter()
        body.queueHeader(link)
        return NetlinkRequest(
            type: MessageType.deleteQueue, flags: 0, body: body.bytes, summary: "unlimit the rate of link \(link)")
    }
}

extension MessageWriter {
    /// `struct tcmsg` of what hangs at the root.
    fileprivate mutating func queueHeader(_ link: UInt32) {
        append(UInt32(0))
        append(link)
        append(UInt32(0))
        append(QueueAttribute.root)
        append(UInt32(0))
    }

    /// `struct tc_ratespec`; nil is none.
    fileprivate mutating func rate(_ bytes: UInt64?) {
        append(UInt8(0))
        append(bytes == nil ? UInt8(0) : QueueAttribute.ethernet)
        append(UInt16(0))
        append(UInt16(0))
        append(UInt16(0))
        append(UInt32(clamping: bytes ?? 0))
    }
}
