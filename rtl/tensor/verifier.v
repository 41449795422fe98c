// SPDX-License-Identifier: Apache-2.0
//
// verifier: the sums that stand for a tensor's open epoch or window, one set for each slot.
//
// hash   XOR of the additions of all lines (line_hash), GHASH without length block / H^(n+1)
// cov    XOR of Q of all lines, the coverage hash / H^(n+1)
// count  lines, saturating
// error  the memory answered an access with an error
//
// Reads and writes add in the same cycle without conflict: a slot is open for one direction
// only. Nothing is added while `enable` is low.
//
// clear       zeroes the set of clear_slot, clear_all all sets; clear_keyed zeroes hash and cov of
//             all sets (they depend on the key) and leaves the counts readable.
// sel_*       combinational view of one set, for the command unit.
// Latency     1 cycle.

`resetall
`default_nettype none

module verifier #(
    parameter SLOTS  = 16,  // tensor slots
    parameter SLOT_W = 4    // width of a slot number in bits
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              enable,

    input  wire              rd_valid,
    input  wire [SLOT_W-1:0] rd_slot,
    input  wire [127:0]      rd_add,
    input  wire [127:0]      rd_cov,
    input  wire              rd_line_last,
    input  wire              rd_error,
    input  wire [SLOT_W-1:0] rd_error_slot,

    input  wire              wr_valid,
    input  wire [SLOT_W-1:0] wr_slot,
    input  wire [127:0]      wr_add,
    input  wire [127:0]      wr_cov,
    input  wire              wr_line_last,
    input  wire              wr_error,
    input  wire [SLOT_W-1:0] wr_error_slot,

    input  wire              clear,
    input  wire [SLOT_W-1:0] clear_slot,
    input  wire              clear_all,
    input  wire              clear_keyed,

    input  wire [SLOT_W-1:0] sel_slot,
    output wire [127:0]      sel_hash,
    output wire [127:0]      sel_cov,
    output wire [31:0]       sel_count,
    output wire              sel_error,

    input  wire [SLOT_W-1:0] view_slot,
    output wire [31:0]       view_count
);

    reg [127:0] hash  [0:SLOTS-1];
    reg [127:0] cov   [0:SLOTS-1];
    reg [31:0]  count [0:SLOTS-1];
    reg         error [0:SLOTS-1];

    assign sel_hash   = hash[sel_slot];
    assign sel_cov    = cov[sel_slot];
    assign sel_count  = count[sel_slot];
    assign sel_error  = error[sel_slot];
    assign view_count = count[view_slot];

    genvar i;
    generate
        for (i = 0; i < SLOTS; i = i + 1) begin : g_slot
            localparam [31:0] INDEX = i;

            wire rd_here = rd_valid && (rd_slot == INDEX[SLOT_W-1:0]);
            wire wr_here = wr_valid && (wr_slot == INDEX[SLOT_W-1:0]);

            always @(posedge clk) begin
                if (rst || clear_all || (clear && clear_slot == INDEX[SLOT_W-1:0])) begin
                    hash[i]  <= 128'd0;
                    cov[i]   <= 128'd0;
                    count[i] <= 32'd0;
                    error[i] <= 1'b0;
                end else if (clear_keyed) begin
                    hash[i] <= 128'd0;
                    cov[i]  <= 128'd0;
                end else if (enable) begin
                    if (rd_here || wr_here) begin
                        hash[i] <= hash[i] ^ (rd_here ? rd_add : 128'd0) ^ (wr_here ? wr_add : 128'd0);
                        cov[i]  <= cov[i] ^ (rd_here ? rd_cov : 128'd0) ^ (wr_here ? wr_cov : 128'd0);
                        if (((rd_here && rd_line_last) || (wr_here && wr_line_last)) && count[i] != 32'hFFFF_FFFF)
                            count[i] <= count[i] + 32'd1;
                    end
                    if ((rd_error && rd_error_slot == INDEX[SLOT_W-1:0])
                        || (wr_error && wr_error_slot == INDEX[SLOT_W-1:0]))
                        error[i] <= 1'b1;
                end
            end
        end
    endgenerate

endmodule

`resetall
