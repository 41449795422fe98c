// SPDX-License-Identifier: Apache-2.0
//
// txn_table: order of the outstanding bursts of one direction.
//
// Every burst gets an entry in arrival order. For each entry the table keeps which older
// bursts of the same ID have not delivered their last response yet. A response of the
// memory belongs to the only entry with its ID that waits for none: this holds for any
// number of bursts with one ID and for any order among different IDs.
//
// alloc       takes entry alloc_idx, allowed while alloc_ok. Entries are taken in circular
//             order, so alloc_idx also names the oldest entry that may still be in use.
// match       combinational: match_hit and match_idx for match_id.
// done        the last response of done_idx was taken: the next burst of its ID may match.
// free        free_idx is no longer in use and may be taken again (not before done; both
//             in one cycle is allowed).
// eldest[i]   entry i is in use, not done, and waits for no older burst of its ID.

`resetall
`default_nettype none

module txn_table #(
    parameter N    = 8,  // entries, power of two, 2 .. 32
    parameter ID_W = 4   // AXI ID width in bits
) (
    input  wire                 clk,
    input  wire                 rst,

    input  wire                 alloc,
    input  wire [ID_W-1:0]      alloc_id,
    output wire                 alloc_ok,
    output wire [$clog2(N)-1:0] alloc_idx,

    input  wire [ID_W-1:0]      match_id,
    output reg                  match_hit,
    output reg  [$clog2(N)-1:0] match_idx,

    input  wire                 done,
    input  wire [$clog2(N)-1:0] done_idx,
    input  wire                 free,
    input  wire [$clog2(N)-1:0] free_idx,

    output wire [N-1:0]         eldest,
    output wire [N*ID_W-1:0]    ids
);

    localparam IW = $clog2(N);

    reg  [N-1:0]    used;             // entry may not be taken
    reg  [N-1:0]    waiting;          // entry still expects responses
    reg  [IW-1:0]   ptr;
    wire [N-1:0]    done_bit = done ? ({{N-1{1'b0}}, 1'b1} << done_idx) : {N{1'b0}};
    wire [N-1:0]    same_id;

    assign alloc_ok  = !used[ptr];
    assign alloc_idx = ptr;

    always @(posedge clk) begin
        if (rst) begin
            used    <= {N{1'b0}};
            waiting <= {N{1'b0}};
            ptr     <= {IW{1'b0}};
        end else begin
            waiting <= waiting & ~done_bit;
            if (free) used[free_idx] <= 1'b0;
            if (alloc) begin
                used[ptr]    <= 1'b1;
                waiting[ptr] <= 1'b1;
                ptr          <= ptr + 1'b1;
            end
        end
    end

    genvar i;
    generate
        for (i = 0; i < N; i = i + 1) begin : g_entry
            reg [ID_W-1:0] id;
            reg [N-1:0]    blocked_by;

            assign same_id[i]          = waiting[i] && (id == alloc_id);
            assign eldest[i]           = waiting[i] && (blocked_by == {N{1'b0}});
            assign ids[i*ID_W +: ID_W] = id;

            always @(posedge clk) begin
                if (rst) begin
                    id         <= {ID_W{1'b0}};
                    blocked_by <= {N{1'b0}};
                end else if (alloc && ptr == i[IW-1:0]) begin
                    id         <= alloc_id;
                    blocked_by <= same_id & ~done_bit;
                end else begin
                    blocked_by <= blocked_by & ~done_bit;
                end
            end
        end
    endgenerate

    integer k;
    always @* begin
        match_hit = 1'b0;
        match_idx = {IW{1'b0}};
        for (k = 0; k < N; k = k + 1)
            if (eldest[k] && ids[k*ID_W +: ID_W] == match_id) begin
                match_hit = 1'b1;
                match_idx = k[IW-1:0];
            end
    end

endmodule

`resetall
