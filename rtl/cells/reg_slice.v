// SPDX-License-Identifier: Apache-2.0
//
// reg_slice: two-entry register slice for one valid/ready channel.
//
// Handshake   in_*: accepted when in_valid && in_ready. out_*: out_valid stays high and
//             out_data stable until out_ready. in_ready is a register: there is no
//             combinational path between the two sides in either direction.
// Latency     1 cycle. Throughput 1 transfer per cycle.
// Clearing    an entry is overwritten with zero when it leaves, so out_data is zero while
//             out_valid is low.
// blank       while high, data that is not yet on the output is replaced by data & KEEP | FORCE.
//             (What is on the output has to stay: AXI forbids to change it.) Tie to 0 where no
//             secret passes.

`resetall
`default_nettype none

module reg_slice #(
    parameter         W     = 8,          // payload width in bits, >= 1
    parameter [W-1:0] KEEP  = {W{1'b1}},  // bits that survive blank
    parameter [W-1:0] FORCE = {W{1'b0}}   // bits that blank sets
) (
    input  wire         clk,
    input  wire         rst,
    input  wire         blank,

    input  wire         in_valid,
    output wire         in_ready,
    input  wire [W-1:0] in_data,

    output reg          out_valid,
    input  wire         out_ready,
    output reg  [W-1:0] out_data
);

    reg         spare_valid;
    reg [W-1:0] spare_data;

    wire [W-1:0] in_now    = blank ? (in_data & KEEP) | FORCE : in_data;
    wire [W-1:0] spare_now = blank ? (spare_data & KEEP) | FORCE : spare_data;

    assign in_ready = !spare_valid;

    always @(posedge clk) begin
        if (rst) begin
            out_valid   <= 1'b0;
            out_data    <= {W{1'b0}};
            spare_valid <= 1'b0;
            spare_data  <= {W{1'b0}};
        end else if (!out_valid || out_ready) begin
            if (spare_valid) begin
                out_valid   <= 1'b1;
                out_data    <= spare_now;
                spare_valid <= 1'b0;
                spare_data  <= {W{1'b0}};
            end else begin
                out_valid <= in_valid;
                out_data  <= in_valid ? in_now : {W{1'b0}};
            end
        end else if (in_valid && in_ready) begin
            spare_valid <= 1'b1;
            spare_data  <= in_now;
        end else if (spare_valid) begin
            spare_data  <= spare_now;
        end
    end

endmodule

`resetall
