public import DriverKit
import Glibc
import LinuxHost
import Model
import Netlink
import Nftables

extension BridgeNetwork {
    /// What of managed networks works on this host, for `isle doctor`. Kernel features are tried in a network
    /// namespace made for it; the host is only looked at.
    public func check() async -> [HostCheck] {
        let dnsmasq = await Self.checkDnsmasq(configuration.dnsmasq)
        // This actor's thread may block, and is in the namespace that the checks are about.
        return [Self.checkBridge(), Self.checkNftables(), Self.checkFirewalls(), Self.checkForwarding(), dnsmasq]
    }

    private static func checkBridge() -> HostCheck {
        let name = "bridge"
        do {
            let namespace = try NetworkNamespace.make()
            try NetworkNamespace.run(in: namespace) {
                try NetlinkSession().perform([
                    .makeBridge(LinkSettings(name: "probe0")),
                    .makeVeth(LinkSettings(name: "probe1"), peer: LinkSettings(name: "probe2"), namespace: nil),
                    .deleteLink(.name("probe1")),
                ])
            }
            guard access("/dev/net/tun", R_OK | W_OK) == 0 else {
                return HostCheck(
                    name, .warning, "bridge and veth links work; /dev/net/tun is missing",
                    advice: "load the kernel module tun: without it machines have no network, containers do")
            }
            return HostCheck(name, .ok, "bridge, veth and tap links work")
        } catch {
            return HostCheck(
                name, .error, "\(error)",
                advice: "the kernel needs bridge, veth and network namespaces; --net none and --net host work without")
        }
    }

    private static func checkNftables() -> HostCheck {
        do {
            let sample = try ManagedNetwork(
                NetworkSpec(name: "probe", bridge: "probe0", ipv4: "10.0.0.1/24", ipv6: "fd00::1/64"))
            let namespace = try NetworkNamespace.make()
            try NetworkNamespace.run(in: namespace) {
                _ = try Nftables().run(FirewallTable(network: sample).replace(ports: []))
            }
            return HostCheck("nftables", .ok, "tables, maps and address translation work")
        } catch {
            return HostCheck(
                "nftables", .error, "\(error)",
                advice: "the kernel needs nf_tables with nat, fib and conntrack; --net none and --net host work without"
            )
        }
    }

    private static func checkFirewalls() -> HostCheck {
        let name = "other firewalls"
        do {
            let ruleset = try Nftables().list("list ruleset")
            let blockers = ["forward", "input"].flatMap {
                ForeignFirewall.blockers(in: ruleset, hook: $0, ignoring: isOwnTable)
            }
            let legacy = (try? readSmallFile("/proc/net/ip_tables_names")).map { !$0.isEmpty } ?? false
            if legacy {
                return HostCheck(
                    name, .warning, "iptables-legacy tables are in use, whose rules nftables does not show",
                    advice: "if instances reach nothing, use iptables-nft, or: iptables-legacy -I FORWARD -i BRIDGE "
                        + "-j ACCEPT, and the same with -o")
            }
            guard !blockers.isEmpty else { return HostCheck(name, .ok, "none drops forwarded packets") }
            let names = blockers.map { "\($0)" }.joined(separator: ", ")
            return HostCheck(name, .ok, "\(names) drops by default: Isle adds rules for its bridges there")
        } catch {
            return HostCheck(name, .warning, "cannot be listed: \(error)")
        }
    }

    private static func checkForwarding() -> HostCheck {
        let name = "forwarding"
        guard access("/proc/sys/net/ipv4/ip_forward", W_OK) == 0 else {
            return HostCheck(
                name, .error, "/proc/sys/net is not writable",
                advice: "run the daemon where it may change network settings; --net none works without")
        }
        let isEnabled = KernelSetting.read("ipv4/ip_forward") == "1"
        return HostCheck(name, .ok, isEnabled ? "enabled" : "off: enabled while a network is up")
    }

    private static func checkDnsmasq(_ executable: String) async -> HostCheck {
        let advice = "apt install dnsmasq-base; without it no managed network comes up"
        do {
            let result = try await ProcessRunner.run(executable, ["--version"])
            let line = result.outputText.split(separator: "\n").first.map(String.init) ?? ""
            guard result.status.isSuccess, let version = version(in: line) else {
                return HostCheck("dnsmasq", .error, "\(executable) --version says: \(result.lastWords)", advice: advice)
            }
            // Watched hosts folders forget removed files since 2.87.
            guard version >= (2, 87) else {
                return HostCheck(
                    "dnsmasq", .warning, "version \(version.0).\(version.1)",
                    advice: "with less than 2.87 names of deleted instances resolve until the network is restarted")
            }
            return HostCheck("dnsmasq", .ok, "version \(version.0).\(version.1)")
        } catch {
            return HostCheck("dnsmasq", .error, "\(error)", advice: advice)
        }
    }

    /// `Dnsmasq version 2.90  Copyright …`.
    static func version(in line: String) -> (Int, Int)? {
        let words = line.split(separator: " ")
        guard words.count > 2, words[0] == "Dnsmasq" else { return nil }
        let numbers = words[2].split(separator: ".").map { Int($0.prefix { $0.isNumber }) ?? 0 }
        return numbers.count >= 2 ? (numbers[0], numbers[1]) : nil
    }
}
